//! RabbitMQ dies, forgets, stands still, and has no room.

use std::time::Duration;

use rand::rngs::StdRng;

use super::{Case, in_the_middle};
use crate::chaos::{
    backends::Server as _,
    messages::Channel,
    verdict::Verdict,
    world::{Lane, Setup},
};

pub(super) const CASES: &[Case] = &[
    Case::new(("F8", "broker-restarted"), "kill -9 of RabbitMQ, and a start", |lane, rng| {
        in_the_middle(lane, rng, Setup::default(), |world, _| world.lane.broker.kill_and_restart())
    })
    .alone(),
    Case::new(("F8", "broker-stopped"), "RabbitMQ stands still for 3 to 12 s", |lane, rng| {
        in_the_middle(lane, rng, Setup::default(), |world, rng| {
            world.lane.broker.signal("-STOP");
            world.away(rng, 3_000..12_000);
            world.lane.broker.signal("-CONT");
        })
    }),
    Case::new(("F9", "queues-purged"), "all queues are emptied, five times", |lane, rng| {
        in_the_middle(lane, rng, Setup { guarded: true, ..Setup::default() }, |world, rng| {
            for _ in 0..5 {
                Channel::of(&world.services).purge();
                world.away(rng, 50..300);
            }
        })
    })
    .short(),
    Case::new(("F9", "queues-deleted"), "all queues and exchanges are deleted", |lane, rng| {
        in_the_middle(lane, rng, Setup::default(), |world, _| Channel::of(&world.services).delete())
    })
    .short(),
    Case::new(
        ("F9", "broker-wiped"),
        "kill -9 of RabbitMQ, and a start with nothing on its disk",
        |lane, rng| {
            in_the_middle(lane, rng, Setup::default(), |world, _| {
                world.lane.broker.wipe_and_restart();
            })
        },
    )
    .alone(),
    Case::new(
        ("F10", "broker-memory-alarm"),
        "RabbitMQ takes no messages for want of memory",
        |lane, rng| {
            alarm(
                lane,
                rng,
                ["set_vm_memory_high_watermark", "0.00001"],
                ["set_vm_memory_high_watermark", "0.4"],
            )
        },
    ),
    Case::new(
        ("F10", "broker-disk-alarm"),
        "RabbitMQ takes no messages for want of disk",
        |lane, rng| {
            alarm(lane, rng, ["set_disk_free_limit", "9999GB"], ["set_disk_free_limit", "1MB"])
        },
    ),
];

fn alarm(lane: &mut Lane, rng: &mut StdRng, raise: [&str; 2], clear: [&str; 2]) -> Verdict {
    in_the_middle(lane, rng, Setup::default(), |world, _| {
        world.lane.broker.control(&raise);
        std::thread::sleep(Duration::from_secs(3));
        world.lane.broker.control(&clear);
    })
}
