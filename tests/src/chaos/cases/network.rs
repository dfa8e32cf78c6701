//! Ways that are cut, narrow, slow or silent, between any two parts.

use std::time::Duration;

use rand::{Rng as _, rngs::StdRng};

use super::{Case, in_the_middle};
use crate::chaos::{
    proxy::{Proxy, Way},
    verdict::Verdict,
    world::{Lane, Setup, World},
};

/// The way that a case strikes.
type Pick = for<'w> fn(&'w World<'_>) -> &'w Proxy;

fn broker<'w>(world: &'w World<'_>) -> &'w Proxy {
    &world.lane.to_broker
}

fn database<'w>(world: &'w World<'_>) -> &'w Proxy {
    &world.lane.to_database
}

pub(super) const CASES: &[Case] = &[
    Case::new(
        ("F11", "broker-cut"),
        "the connections to RabbitMQ are reset, five times",
        |lane, rng| cut(lane, rng, broker),
    )
    .short(),
    Case::new(
        ("F11", "database-cut"),
        "the connections to PostgreSQL are reset, five times",
        |lane, rng| cut(lane, rng, database),
    ),
    Case::new(
        ("F11", "broker-silent"),
        "nothing comes from or to RabbitMQ for 3 to 15 s",
        |lane, rng| silent(lane, rng, broker),
    ),
    Case::new(
        ("F12", "klaviyo-silent"),
        "Klaviyo takes requests and does not answer for 3 to 10 s",
        |lane, rng| {
            in_the_middle(lane, rng, Setup::default(), |world, rng| {
                let hole = Way { black_hole: true, ..Way::default() };
                world.to_klaviyo.ways(Way::default(), hole);
                world.away(rng, 3_000..10_000);
                world.to_klaviyo.heal();
            })
        },
    ),
    Case::new(
        ("F13", "bodies-cut"),
        "requests to Klaviyo are reset after some of their bytes, twenty times",
        |lane, rng| {
            in_the_middle(lane, rng, Setup::default(), |world, rng| {
                for _ in 0..20 {
                    world.to_klaviyo.cut_after(rng.random_range(0..40_000));
                    world.away(rng, 20..150);
                }
                world.to_klaviyo.heal();
            })
        },
    )
    .short(),
    Case::new(("F14", "klaviyo-slow"), "answers and bodies crawl for 5 s", |lane, rng| {
        in_the_middle(lane, rng, Setup::default(), |world, rng| {
            let latency = Duration::from_millis(rng.random_range(100..800));
            let slow = Way { latency, bandwidth: 20_000, ..Way::default() };
            world.to_klaviyo.ways(slow, slow);
            world.away(rng, 4_000..6_000);
            world.to_klaviyo.heal();
        })
    }),
    Case::new(
        ("F17", "klaviyo-refuses"),
        "nobody listens where Klaviyo was, for 1 to 5 s",
        |lane, rng| {
            in_the_middle(lane, rng, Setup::default(), |world, rng| {
                world.to_klaviyo.refuse();
                world.away(rng, 1_000..5_000);
                world.to_klaviyo.heal();
            })
        },
    ),
    Case::new(
        ("F26", "ways-of-different-length"),
        "RabbitMQ is 20 to 100 ms away, PostgreSQL 2 to 6",
        |lane, rng| {
            in_the_middle(lane, rng, Setup::default(), |world, rng| {
                let ways: [(Pick, _); 2] = [(broker, 10..50), (database, 1..3)];
                for (way, millis) in ways {
                    let latency = Duration::from_millis(rng.random_range(millis));
                    let far = Way { latency, ..Way::default() };
                    way(world).ways(far, far);
                }
            })
        },
    ),
];

fn cut(lane: &mut Lane, rng: &mut StdRng, way: Pick) -> Verdict {
    in_the_middle(lane, rng, Setup::default(), |world, rng| {
        for _ in 0..5 {
            way(world).cut();
            world.away(rng, 50..400);
        }
    })
}

fn silent(lane: &mut Lane, rng: &mut StdRng, way: Pick) -> Verdict {
    in_the_middle(lane, rng, Setup::default(), |world, rng| {
        let hole = Way { black_hole: true, ..Way::default() };
        way(world).ways(hole, hole);
        world.away(rng, 3_000..15_000);
        way(world).heal();
    })
}
