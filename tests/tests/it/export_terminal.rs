//! What somebody who sits at a terminal is asked and shown.

use klaviyo_sim::Config;

use crate::harness::{Export, Judge, People, Sim, limited, rate};

#[test]
fn on_a_terminal_it_asks_and_anything_but_yes_sends_nothing() {
    let sim = Sim::free();
    let people = People::good(2);
    for answer in ["n\n", "\n", "maybe\n"] {
        let export = Export::to(&sim).content("people.csv", people.csv());
        let ended = export.typed(answer).run().expect_code(130);
        ended.expect_words(&["export to the list \"Segue demo\"? [y/N]", "nothing was sent"]);
    }
    assert_eq!(sim.writes(), []);
    let ended = Export::to(&sim).content("people.csv", people.csv()).typed("y\n").run();
    Judge::new(&sim, &people).verify(&ended.expect_code(0));
}

#[test]
fn yes_on_the_command_line_answers_the_question() {
    let sim = Sim::free();
    let people = People::good(2);
    let export = Export::to(&sim).content("people.csv", people.csv());
    let ended = export.arg("--yes").typed("").run().expect_code(0);
    assert!(!ended.says("[y/N]"), "{ended}");
    Judge::new(&sim, &people).verify(&ended);
}

#[test]
fn on_a_terminal_reading_uploading_and_confirming_have_a_bar_each() {
    let sim = Sim::start(Config { process_rate: rate(5_000), ..limited() });
    let people = People::good(5_000);
    let export = Export::to(&sim).content("people.csv", people.csv());
    let ended = export.arg("--yes").typed("").run().expect_code(0);
    Judge::new(&sim, &people).verify(&ended);
    ended.expect_words(&["reading", "uploading", "confirming", "5,000 of 5,000", "left"]);
}
