//! Services that are killed, stopped, woken, and told to end.

use std::{thread, time::Duration};

use rand::{Rng as _, rngs::StdRng, seq::IndexedRandom as _};

use super::{Case, in_the_middle};
use crate::{
    chaos::{
        verdict::{Expected, Verdict},
        versions,
        world::{Lane, Setup, World},
    },
    harness::{People, segue, wait_for},
};

pub(super) const CASES: &[Case] = &[
    Case::new(("F1", "control-plane-killed"), "kill -9 of a control-plane", |lane, rng| {
        kill_one(lane, rng, "control-plane")
    })
    .short(),
    Case::new(("F2, F3, F4", "worker-killed"), "kill -9 of a worker", |lane, rng| {
        kill_one(lane, rng, "worker")
    })
    .short(),
    Case::new(("F5", "status-killed"), "kill -9 of status", |lane, rng| {
        kill_one(lane, rng, "status")
    }),
    Case::new(
        ("F6", "everything-killed"),
        "kill -9 of any service, each 0.3 to 1 s, eight times",
        kill_many,
    ),
    Case::new(
        ("F7", "worker-zombie"),
        "a worker stands still for longer than its lease, then wakes",
        |lane, rng| zombie(lane, rng, "worker"),
    )
    .short(),
    Case::new(
        ("F7", "zombie-in-a-body"),
        "a worker stands still in the middle of a request's body, and wakes after its lease",
        zombie_in_a_body,
    ),
    Case::new(
        ("F7", "control-plane-zombie"),
        "a control-plane stands still for longer than its duties, then wakes",
        |lane, rng| zombie(lane, rng, "control-plane"),
    ),
    Case::new(
        ("-", "worker-drained"),
        "SIGTERM to a worker, and another in its place",
        |lane, rng| {
            in_the_middle(lane, rng, Setup::default(), |world, rng| {
                let name = world.one_of("worker", rng);
                world.services.signal(&name, "-TERM");
                let status = world.services.wait(&name);
                assert_eq!(status.code(), Some(0), "{name} did not drain");
            })
        },
    ),
    Case::new(("-", "serve-killed"), "kill -9 of `segue serve`, three times", |lane, rng| {
        let mut world = World::embedded(lane, Setup::default());
        let run = world.start();
        world.in_the_middle(rng);
        for _ in 0..3 {
            world.services.kill_and_restart("serve");
            world.services.await_ready();
            world.away(rng, 0..1_500);
        }
        world.judge(&run)
    })
    .short(),
    Case::new(
        ("F34", "versions-mixed"),
        "a worker of version 0.1.0 and one of today's, which then change places, under control-planes of either",
        versions_mixed,
    ),
    Case::new(("-", "cancelled"), "the run is cancelled at any moment", cancel),
];

/// Workers of both versions under control-planes of one, which change places in the middle of a run. A control-plane
/// of an earlier version refuses a database that a later one has migrated, so control-planes are of one version.
fn versions_mixed(lane: &mut Lane, rng: &mut StdRng) -> Verdict {
    let (old, new) = (versions::first(), segue());
    // The first version knows no batches of less than ten thousand.
    let people = People::good(240_000).spoil(30_000, |n| format!("nobody{n}"), "email_invalid");
    let binary = rng.random::<bool>().then(|| old.clone());
    let mut world =
        World::new(lane, Setup { people, environment: Vec::new(), binary, ..Setup::default() });
    let mut binaries = [("worker-1", &old), ("worker-2", &new)];
    for (name, binary) in binaries {
        world.services.restart_as(name, binary);
    }
    world.services.await_ready();
    let run = world.start();
    wait_for("the run is under way", || (world.accepted() > 3).then_some(()));
    world.faulted();
    for (name, binary) in &mut binaries {
        *binary = if *binary == &old { &new } else { &old };
        world.away(rng, 100..600);
        world.services.restart_as(name, binary);
    }
    world.judge(&run)
}

fn kill_one(lane: &mut Lane, rng: &mut StdRng, kind: &str) -> Verdict {
    // What a killed worker has read is there for the others, whether it is sent at once or when all is read.
    let setup = Setup { guarded: kind == "worker", ..Setup::default() };
    in_the_middle(lane, rng, setup, |world, rng| {
        let name = world.one_of(kind, rng);
        world.services.kill_and_restart(&name);
    })
}

fn kill_many(lane: &mut Lane, rng: &mut StdRng) -> Verdict {
    let people = People::good(9_000).spoil(500, |n| format!("nobody{n}"), "email_invalid");
    in_the_middle(lane, rng, Setup { people, guarded: true, ..Setup::default() }, |world, rng| {
        for _ in 0..8 {
            let name = world.one_of("", rng);
            world.services.kill_and_restart(&name);
            world.away(rng, 300..1_000);
        }
    })
}

fn zombie(lane: &mut Lane, rng: &mut StdRng, kind: &str) -> Verdict {
    in_the_middle(lane, rng, Setup::default(), |world, rng| {
        let name = world.one_of(kind, rng);
        world.services.signal(&name, "-STOP");
        world.away(rng, 5_500..8_000);
        world.services.signal(&name, "-CONT");
    })
}

/// The way to Klaviyo is so narrow that a worker has some of the body out when it is stopped.
fn zombie_in_a_body(lane: &mut Lane, rng: &mut StdRng) -> Verdict {
    use crate::chaos::proxy::Way;
    in_the_middle(lane, rng, Setup::default(), |world, rng| {
        let narrow = Way { bandwidth: 40_000, ..Way::default() };
        world.to_klaviyo.ways(narrow, Way::default());
        let before = world.to_klaviyo.passed();
        wait_for("a body is under way", || {
            (world.to_klaviyo.passed() > before + 2_000).then_some(())
        });
        let name = world.one_of("worker", rng);
        world.services.signal(&name, "-STOP");
        world.away(rng, 5_500..7_500);
        world.to_klaviyo.heal();
        world.services.signal(&name, "-CONT");
    })
}

fn cancel(lane: &mut Lane, rng: &mut StdRng) -> Verdict {
    let expected = Expected::Ends(&["", "cancelled"]);
    let mut world = World::new(lane, Setup { expected, ..Setup::default() });
    let run = world.start();
    // From the moment at which it was started to one in its middle.
    let wait = *[0, 50, 200, 500, 1_000, 2_000].choose(rng).unwrap_or(&0);
    thread::sleep(Duration::from_millis(rng.random_range(wait..=wait + 200)));
    world.services.ask(&["runs", "cancel", &run]);
    world.faulted();
    let after = world.accepted();
    let ended = world.end(&run);
    // What was in flight may still have been accepted: no more than a burst.
    let more = world.accepted() - after;
    let mut verdict = world.judge_ended(&ended, &crate::chaos::verdict::Target::default());
    if more > 10 {
        verdict.problems.push(format!("{more} batches were accepted after the run was cancelled"));
    }
    // It is all the same whether anything had been sent.
    verdict.fired = true;
    verdict
}
