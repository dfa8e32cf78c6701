//! Every place in the code where a crash could lose or repeat something: see the crate `kill-points`.

use std::{collections::BTreeSet, fs, path::Path};

use rand::{Rng as _, rngs::StdRng};

use super::{Case, Course};
use crate::{
    chaos::{
        messages::Channel,
        verdict::{Expected, Target, Verdict},
        world::{Lane, Setup, World},
    },
    harness::{People, wait_for},
};

/// What has to go on for a point to be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reached {
    /// In any run; so often at least.
    Always(u32),
    /// When Klaviyo refuses a batch as too large.
    Split,
    /// When a run is started over gRPC.
    Start,
    /// When a run is cancelled.
    Cancel,
    /// When a message asks for something.
    Command,
    /// When somebody else has died with a claim.
    Expire,
}

/// A kill point.
#[derive(Debug, Clone, Copy)]
pub struct Point {
    pub name: &'static str,
    /// The services that come by.
    kind: &'static str,
    reached: Reached,
}

const fn point(name: &'static str, kind: &'static str, reached: Reached) -> Point {
    Point { name, kind, reached }
}

use Reached::{Always, Cancel, Command, Expire, Split, Start};

/// All of them. A test compares the names with the source.
pub const POINTS: &[Point] = &[
    point("control_plane.announce", "control-plane", Always(5)),
    point("control_plane.announce_committed", "control-plane", Always(5)),
    point("control_plane.answer", "control-plane", Always(8)),
    point("control_plane.answer_committed", "control-plane", Always(8)),
    point("control_plane.cancel", "control-plane", Cancel),
    point("control_plane.cancel_committed", "control-plane", Cancel),
    point("control_plane.claim", "control-plane", Always(8)),
    point("control_plane.claim_committed", "control-plane", Always(8)),
    point("control_plane.command_obeyed", "control-plane", Command),
    point("control_plane.command_settled", "control-plane", Command),
    point("control_plane.confirm", "control-plane", Always(8)),
    point("control_plane.confirm_committed", "control-plane", Always(8)),
    point("control_plane.event_published", "control-plane", Always(8)),
    point("control_plane.events_forgotten", "control-plane", Always(3)),
    point("control_plane.expire", "control-plane", Expire),
    point("control_plane.expire_committed", "control-plane", Expire),
    point("control_plane.finish", "control-plane", Always(1)),
    point("control_plane.finish_committed", "control-plane", Always(1)),
    point("control_plane.job_published", "control-plane", Always(5)),
    point("control_plane.permit", "control-plane", Always(8)),
    point("control_plane.permit_committed", "control-plane", Always(8)),
    point("control_plane.plan", "control-plane", Always(1)),
    point("control_plane.plan_committed", "control-plane", Always(1)),
    point("control_plane.renew", "control-plane", Always(3)),
    point("control_plane.renew_committed", "control-plane", Always(3)),
    point("control_plane.stage", "control-plane", Always(8)),
    point("control_plane.stage_committed", "control-plane", Always(8)),
    point("control_plane.start", "control-plane", Start),
    point("control_plane.start_committed", "control-plane", Start),
    point("queue.confirmed", "control-plane", Always(8)),
    point("queue.published", "control-plane", Always(8)),
    point("staging.moved", "worker", Always(8)),
    point("staging.written", "worker", Always(8)),
    point("worker.accepted", "worker", Always(5)),
    point("worker.answer_recorded", "worker", Always(5)),
    point("worker.answered", "worker", Always(5)),
    point("worker.batch_staged", "worker", Always(8)),
    point("worker.body_deleted", "worker", Always(5)),
    point("worker.claimed", "worker", Always(5)),
    point("worker.confirmed", "worker", Always(5)),
    point("worker.errors_page_read", "worker", Always(1)),
    point("worker.finished", "worker", Always(1)),
    point("worker.job_acknowledged", "worker", Always(5)),
    point("worker.job_received", "worker", Always(5)),
    point("worker.permitted", "worker", Always(5)),
    point("worker.plan_frozen", "worker", Always(1)),
    point("worker.rejects_written", "worker", Always(5)),
    point("worker.segment_read", "worker", Always(1)),
    point("worker.split_staged", "worker", Split),
    point("worker.staged_dropped", "worker", Always(5)),
    point("worker.worked", "worker", Always(1)),
];

static BY_MESSAGE: Point = point("control_plane.start", "control-plane", Command);

/// One case for each, under its name.
pub(super) fn cases() -> Vec<Case> {
    let case = |point: &'static Point| Case {
        name: point.name,
        fault: "kill point",
        what: "the process dies there",
        course: Course::Point(point),
        short: false,
        alone: false,
    };
    let mut cases: Vec<Case> = POINTS.iter().map(case).collect();
    // A message is done with when what it asks for is committed, and not before.
    cases.push(Case { name: "control_plane.start, by message", short: true, ..case(&BY_MESSAGE) });
    cases
}

/// The names that the code gives to [`kill_points::at`].
pub fn points_in_the_source() -> BTreeSet<String> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("crates");
    let mut names = BTreeSet::new();
    let mut folders = vec![crates];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                let code = fs::read_to_string(&path).unwrap();
                let calls = code.split("kill_points::at(\"").skip(1);
                names.extend(calls.filter_map(|rest| rest.split('"').next()).map(str::to_owned));
            }
        }
    }
    names
}

impl Point {
    /// A run in which whoever comes by the point dies there, and another takes its place.
    pub(super) fn run(&self, lane: &mut Lane, rng: &mut StdRng) -> Verdict {
        let mut world = World::new(lane, self.setup());
        let passes =
            if let Always(passes) = self.reached { rng.random_range(0..passes) } else { 0 };
        let arm = format!("{}={passes}*off->return", self.name);
        let names = world.services.names().into_iter().filter(|name| name.starts_with(self.kind));
        for name in names.collect::<Vec<_>>() {
            world.services.restart_with(&name, &[("FAILPOINTS", &arm)]);
        }
        let run = self.provoke(&mut world, rng);
        let ended = world.end(&run);
        let killed = format!("killed at {}", self.name);
        let hit = world.services.all_said().contains(&killed);
        let mut verdict = world.judge_ended(&ended, &Target::default());
        if !hit {
            verdict.problems.push(format!("{} was never reached", self.name));
        }
        // What dies before the first request or after the last is as good.
        verdict.fired = hit;
        verdict
    }

    fn setup(&self) -> Setup {
        let setup = Setup {
            people: People::good(2_990)
                .spoil(500, |n| format!("nobody{n}"), "email_invalid")
                .duplicate(77)
                .and_rejected("refuse1@example.com", "refused_by_klaviyo")
                .and_rejected("importfail1@example.com", "import_failed"),
            ..Setup::default()
        };
        match self.reached {
            Cancel => Setup { expected: Expected::Ends(&["", "cancelled"]), ..setup },
            Split => {
                let mut setup = setup;
                // A batch of this case has some 13 kB.
                setup.klaviyo.unknowns.smaller_bodies = Some(9_000);
                setup
            }
            _ => setup,
        }
    }

    /// Starts a run, and does what leads to the point.
    fn provoke(&self, world: &mut World<'_>, rng: &mut StdRng) -> String {
        match self.reached {
            Always(_) | Split | Start => world.start_at_last(),
            Cancel => {
                let run = world.start_at_last();
                world.in_the_middle(rng);
                world.cancel_at_last(&run);
                run
            }
            Command => {
                let stranger = Channel::of(&world.services);
                stranger.ask_for_run(&world.export, "by-message");
                world.run_of_export()
            }
            Expire => {
                let run = world.start_at_last();
                world.in_the_middle(rng);
                let name = world.one_of("worker", rng);
                world.services.kill_and_restart(&name);
                wait_for("somebody finds the claims of the dead", || {
                    (!world.services.ended_services().is_empty()).then_some(())
                });
                run
            }
        }
    }
}
