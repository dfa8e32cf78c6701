//! PostgreSQL dies, stands still, and loses connections.

use rand::{Rng as _, rngs::StdRng};

use super::{Case, in_the_middle};
use crate::chaos::{
    backends::Server as _,
    proxy::Way,
    verdict::Verdict,
    world::{Lane, Setup},
};

pub(super) const CASES: &[Case] = &[
    Case::new(("F32", "database-restarted"), "kill -9 of PostgreSQL, and a start", |lane, rng| {
        in_the_middle(lane, rng, Setup::default(), |world, rng| {
            world.lane.database.kill();
            world.away(rng, 0..2_000);
            world.lane.database.start();
        })
    })
    .alone(),
    Case::new(("F32", "database-stopped"), "PostgreSQL stands still for 3 to 15 s", |lane, rng| {
        in_the_middle(lane, rng, Setup::default(), |world, rng| {
            world.lane.database.signal("-STOP");
            world.away(rng, 3_000..15_000);
            world.lane.database.signal("-CONT");
        })
    }),
    Case::new(
        ("F32", "backends-terminated"),
        "all connections are terminated, five times",
        |lane, rng| {
            in_the_middle(lane, rng, Setup::default(), |world, rng| {
                for _ in 0..5 {
                    terminate(world.lane);
                    world.away(rng, 50..400);
                }
            })
        },
    )
    .short(),
    Case::new(("F32", "connections-exhausted"), "there are no more connections for 3 s", exhaust),
    Case::new(
        ("F11", "database-unreachable"),
        "nothing comes back from PostgreSQL for 3 to 10 s",
        |lane, rng| {
            in_the_middle(lane, rng, Setup::default(), |world, rng| {
                let hole = Way { black_hole: true, ..Way::default() };
                let (up, down) =
                    if rng.random() { (hole, Way::default()) } else { (Way::default(), hole) };
                world.lane.to_database.ways(up, down);
                world.away(rng, 3_000..10_000);
                world.lane.to_database.heal();
            })
        },
    ),
];

fn terminate(lane: &Lane) {
    lane.database.ask(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
         WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'",
    );
}

fn exhaust(lane: &mut Lane, rng: &mut StdRng) -> Verdict {
    in_the_middle(lane, rng, Setup::default(), |world, rng| {
        // The superuser keeps its own places, so nobody who is in can come back.
        world.lane.to_database.refuse();
        terminate(world.lane);
        world.away(rng, 1_000..4_000);
        world.lane.to_database.heal();
    })
}
