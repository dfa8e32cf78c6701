//! The faults, by the part that they strike.

mod broker;
mod clocks;
mod database;
mod isolation;
mod kill_points;
mod klaviyo;
mod messages;
mod network;
mod processes;
mod source;

use rand::rngs::StdRng;

use super::{
    verdict::Verdict,
    world::{Lane, Setup, World},
};

pub use kill_points::{POINTS, Point, points_in_the_source};

/// How a case is made.
#[derive(Clone, Copy)]
enum Course {
    Own(fn(&mut Lane, &mut StdRng) -> Verdict),
    Point(&'static Point),
}

/// One fault, made the same way each time but for what the seed draws.
#[derive(Clone, Copy)]
pub struct Case {
    pub name: &'static str,
    /// Of the fault matrix.
    pub fault: &'static str,
    pub what: &'static str,
    course: Course,
    /// It belongs to the short form that all tests include.
    pub short: bool,
    /// No other case runs beside it: the start of a server is in its recovery, and takes the more processors the
    /// fewer others want them.
    pub alone: bool,
}

impl Case {
    const fn new(
        (fault, name): (&'static str, &'static str),
        what: &'static str,
        run: fn(&mut Lane, &mut StdRng) -> Verdict,
    ) -> Self {
        Self { name, fault, what, course: Course::Own(run), short: false, alone: false }
    }

    const fn short(self) -> Self {
        Self { short: true, ..self }
    }

    const fn alone(self) -> Self {
        Self { alone: true, ..self }
    }

    pub fn run(&self, lane: &mut Lane, rng: &mut StdRng) -> Verdict {
        match self.course {
            Course::Own(run) => run(lane, rng),
            Course::Point(point) => point.run(lane, rng),
        }
    }
}

pub fn all() -> Vec<Case> {
    let groups: [&[Case]; 10] = [
        processes::CASES,
        &kill_points::cases(),
        broker::CASES,
        database::CASES,
        network::CASES,
        klaviyo::CASES,
        source::CASES,
        messages::CASES,
        isolation::CASES,
        clocks::CASES,
    ];
    groups.concat()
}

/// What cannot be made on one machine in user space, or not yet, and why.
pub const NOT_COVERED: &[(&str, &str)] = &[
    (
        "F11, three brokers",
        "needs a cluster of three RabbitMQ nodes; one node is what these cases run",
    ),
    (
        "F22, F23",
        "a clock that moves by days and through changes of daylight saving is injected, in tests of the \
         control-plane (one run makes up for all times that were missed) and tables of the schedules",
    ),
    (
        "F24, the clock of the database",
        "PostgreSQL's clock decides, and it is the machine's; `clocks-jump` moves those of the services, and tests \
         of the control-plane move an injected one",
    ),
    (
        "F32, fail-over to a copy",
        "needs a replica; PostgreSQL with `synchronous_commit = on` is what Segue asks for",
    ),
    (
        "F33, full disks of broker and database",
        "they stop and say so; what Segue sees is F10 and F32",
    ),
];

/// The usual course: a run starts, in its middle comes the fault, it ends and is judged.
fn in_the_middle(
    lane: &mut Lane,
    rng: &mut StdRng,
    setup: Setup,
    fault: impl FnOnce(&mut World<'_>, &mut StdRng),
) -> Verdict {
    let mut world = World::new(lane, setup);
    let run = world.start();
    world.in_the_middle(rng);
    fault(&mut world, rng);
    world.judge(&run)
}
