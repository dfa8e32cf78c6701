//! The same segment by `segue export`, by `segue serve`, and by many services over RabbitMQ and PostgreSQL: the
//! same members, the same accounting.

use std::collections::BTreeMap;

use crate::harness::{Export, Judge, People, Report, Services, Shape, Sim};

fn people() -> People {
    People::good(24_990)
        .spoil(1_000, |n| format!("nobody{n}"), "email_invalid")
        .duplicate(700)
        .and_rejected("refuse1@example.com", "refused_by_klaviyo")
        .and_rejected("importfail1@example.com", "import_failed")
        .and_good(30)
}

/// What has to be the same, whoever did it.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    state: String,
    counts: [u64; 8],
    rejects_by_reason: BTreeMap<String, u64>,
    rejects: Vec<(String, u64, String)>,
    members: Vec<String>,
}

fn told(sim: &Sim, report: Report, rejects: Vec<(String, u64, String)>) -> Told {
    let mut members = sim.members(crate::harness::LIST);
    members.sort_unstable();
    Told {
        state: report.state,
        counts: [
            report.rows_read,
            report.delivered,
            report.rejected,
            report.duplicates,
            report.undelivered,
            report.warnings,
            report.batches,
            report.bytes,
        ],
        rejects_by_reason: report.rejects_by_reason,
        rejects,
        members,
    }
}

fn by_export(people: &People) -> Told {
    let sim = Sim::free();
    let ended = Export::to(&sim).content("people.csv", people.csv()).run().expect_code(3);
    let report = Judge::new(&sim, people).verify(&ended);
    let rejects = ended.rejects().into_iter();
    let rejects = rejects.map(|it| ("people.csv".to_owned(), it.row, it.reason)).collect();
    told(&sim, report, rejects)
}

fn by_services(people: &People, start: impl FnOnce(&Sim) -> Services) -> Told {
    let sim = Sim::free();
    let services = start(&sim);
    people.write(&services.source().join("people.csv"));
    let run = services.start_run(&services.export("people.csv"));
    let report = Services::report(&services.ended(&run));
    let judge = Judge::new(&sim, people);
    judge.counts_are_right(&report);
    judge.members_are_exactly_the_delivered();
    judge.nobody_is_elsewhere();
    let said = services.all_said();
    for secret in ["pk_sim", "person1@", "nobody999", "importfail1"] {
        assert!(!said.contains(secret), "{secret} is in a log");
    }
    told(&sim, report, services.rows(&run, &[]))
}

#[test]
fn all_forms_give_the_same_members_and_the_same_accounting() {
    let people = people();
    let exported = by_export(&people);
    let shape = Shape { control_planes: 2, workers: 4, statuses: 2 };
    assert_eq!(by_services(&people, Services::together), exported);
    assert_eq!(by_services(&people, |sim| Services::apart(sim, shape)), exported);
}
