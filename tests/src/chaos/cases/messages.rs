//! Messages that come too often, too late, in another order, or mean nothing.

use std::time::Duration;

use rand::{Rng as _, rngs::StdRng, seq::SliceRandom as _};
use serde_json::Value;

use super::{Case, in_the_middle};
use crate::chaos::{
    messages::Channel,
    verdict::{Target, Verdict},
    world::{Lane, Setup, World},
};

pub(super) const CASES: &[Case] = &[
    Case::new(
        ("F25", "messages-repeated"),
        "every message of a job is there two to eleven times",
        |lane, rng| {
            again(lane, rng, |seen, rng| {
                (0..rng.random_range(1..=10)).flat_map(|_| 0..seen).collect()
            })
        },
    )
    .short(),
    Case::new(
        ("F26", "messages-shuffled"),
        "every message comes again, later, in another order",
        |lane, rng| {
            again(lane, rng, |seen, rng| {
                let mut order: Vec<usize> = (0..seen).collect();
                order.shuffle(rng);
                order
            })
        },
    ),
    Case::new(("F27", "garbage"), "messages that nobody can read, among good ones", |lane, rng| {
        in_the_middle(lane, rng, Setup::default(), |world, rng| {
            let stranger = Channel::of(&world.services);
            for _ in 0..5 {
                for key in ["read", "upload", "confirm"] {
                    stranger.babble("jobs", key);
                }
                stranger.babble("commands", "run.start");
                stranger.babble("commands", "run.cancel");
                stranger.babble("events", "run.succeeded");
                world.away(rng, 20..200);
            }
        })
    })
    .short(),
    Case::new(("F21", "fifty-starts"), "fifty ask for a run of one export at once", fifty_starts),
];

fn again(
    lane: &mut Lane,
    rng: &mut StdRng,
    order: impl Fn(usize, &mut StdRng) -> Vec<usize>,
) -> Verdict {
    let mut world = World::new(lane, Setup::default());
    let stranger = Channel::of(&world.services);
    let mut tap = stranger.tap_jobs();
    let run = world.start();
    world.in_the_middle(rng);
    for _ in 0..4 {
        let seen = tap.take(Duration::from_millis(300));
        for at in order(seen.len(), rng) {
            stranger.repeat(&seen[at]);
        }
    }
    world.judge(&run)
}

/// Half of them with one request id, half with their own: one run at a time, and the same request the same run.
fn fifty_starts(lane: &mut Lane, rng: &mut StdRng) -> Verdict {
    let mut world = World::new(lane, Setup::default());
    let export = world.export.clone();
    let same = format!("same-{}", rng.random::<u64>());
    let services = &world.services;
    let answers: Vec<(Option<i32>, String, String)> = std::thread::scope(|scope| {
        let ask = |nth: usize| {
            let request =
                if nth.is_multiple_of(2) { same.clone() } else { format!("{same}-{nth}") };
            let export = export.clone();
            scope.spawn(move || {
                let arguments =
                    ["runs", "start", &export, "--request-id", &request, "--output", "json"];
                services.ask_for(&arguments)
            })
        };
        let asked: Vec<_> = (0..50).map(ask).collect();
        asked.into_iter().map(|it| it.join().unwrap()).collect()
    });
    world.faulted();
    let mut started: Vec<String> = Vec::new();
    let mut problems = Vec::new();
    for (code, stdout, stderr) in &answers {
        if *code == Some(0) {
            let run: Value = serde_json::from_str(stdout).unwrap();
            started.push(run["id"].as_str().unwrap().to_owned());
        } else if !stderr.contains("under way") {
            problems.push(format!("an answer that is no help: {stderr}"));
        }
    }
    started.sort_unstable();
    started.dedup();
    let [run] = &started[..] else { panic!("{} runs were started: {started:?}", started.len()) };
    let ended = world.end(run);
    let mut verdict = world.judge_ended(&ended, &Target::default());
    verdict.problems.extend(problems);
    // They come before the first request: that is when it matters.
    verdict.fired = true;
    verdict.recovery = None;
    verdict
}
