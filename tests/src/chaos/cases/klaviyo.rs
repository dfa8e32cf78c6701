//! Klaviyo fails, throttles, forgets keys and lists, and answers what nobody can read.

use klaviyo_sim::{Endpoint, Faults, RetryAfter, Trigger};
use rand::{Rng as _, rngs::StdRng, seq::IndexedRandom as _};

use super::{Case, in_the_middle};
use crate::{
    chaos::{
        verdict::{Expected, Verdict},
        world::{Lane, Setup},
    },
    harness::LIST,
};

pub(super) const CASES: &[Case] = &[
    Case::new(
        ("F12", "answers-lost"),
        "Klaviyo accepts, and the connection is reset before the answer",
        |lane, rng| {
            faults(lane, rng, |rng| Faults {
                drop: Trigger::next(rng.random_range(1..6)).at(Endpoint::Import),
                ..Faults::default()
            })
        },
    )
    .short(),
    Case::new(
        ("F13", "answers-cut"),
        "Klaviyo accepts, and the answer ends in its middle",
        |lane, rng| {
            faults(lane, rng, |rng| Faults {
                truncate: Trigger::next(rng.random_range(1..6)).at(Endpoint::Import),
                ..Faults::default()
            })
        },
    ),
    Case::new(
        ("F13", "requests-reset"),
        "one in five requests is reset in the middle of its body",
        |lane, rng| {
            faults(lane, rng, |_| Faults { reset: Trigger::probability(0.2), ..Faults::default() })
        },
    ),
    Case::new(("F15", "throttled"), "429 with every shape of Retry-After", |lane, rng| {
        faults(lane, rng, |rng| {
            let text = |text: &str| RetryAfter::Text(text.to_owned());
            let shapes = [
                RetryAfter::OneSecond,
                RetryAfter::Absent,
                text("0"),
                text("-5"),
                text("99999999999"),
                text("soon"),
                text("Wed, 21 Oct 2015 07:28:00 GMT"),
                text("0.5"),
            ];
            let retry_after = shapes.choose(rng).cloned().unwrap_or_default();
            let throttle = Trigger::next(rng.random_range(1..4)).at(Endpoint::Import);
            Faults { throttle, retry_after, ..Faults::default() }
        })
    })
    .short(),
    Case::new(
        ("F15", "foreign-traffic"),
        "somebody else uses the account at its limits",
        foreign_traffic,
    ),
    Case::new(
        ("F16", "failing"),
        "one in ten requests of a whole run fails with 500, 502 or 503",
        |lane, rng| {
            faults(lane, rng, |_| Faults { fail: Trigger::probability(0.1), ..Faults::default() })
        },
    ),
    Case::new(
        ("F16", "html"),
        "403 of the bot protection and 503 of the gateway, in HTML",
        |lane, rng| {
            faults(lane, rng, |rng| Faults {
                challenge: Trigger::next(rng.random_range(1..5)),
                unavailable: Trigger::next(rng.random_range(1..5)),
                ..Faults::default()
            })
        },
    ),
    Case::new(("F18", "key-revoked"), "the key is revoked", |lane, rng| {
        ends(lane, rng, &["key_refused"], |_| Faults {
            revoked_keys: ["pk_sim".to_owned()].into(),
            ..Faults::default()
        })
    })
    .short(),
    Case::new(("F18", "key-moved"), "the key is another account's from now on", |lane, rng| {
        ends(lane, rng, &["account_changed"], |_| Faults {
            moved_keys: [("pk_sim".to_owned(), "OTHERS".to_owned())].into(),
            ..Faults::default()
        })
    }),
    Case::new(("F19", "list-deleted"), "the list is deleted", |lane, rng| {
        ends(lane, rng, &["list_not_found"], |_| Faults {
            deleted_lists: [LIST.to_owned()].into(),
            ..Faults::default()
        })
    })
    .short(),
];

fn faults(lane: &mut Lane, rng: &mut StdRng, make: impl Fn(&mut StdRng) -> Faults) -> Verdict {
    in_the_middle(lane, rng, Setup::default(), |world, rng| world.sim.set_faults(make(rng)))
}

fn ends(
    lane: &mut Lane,
    rng: &mut StdRng,
    reasons: &'static [&'static str],
    make: impl Fn(&mut StdRng) -> Faults,
) -> Verdict {
    let setup = Setup { expected: Expected::Ends(reasons), ..Setup::default() };
    let mut verdict = in_the_middle(lane, rng, setup, |world, rng| world.sim.set_faults(make(rng)));
    // After it nothing is accepted any more: there is nothing to recover.
    verdict.recovery = None;
    verdict.fired = verdict.acknowledged > 0;
    verdict
}

/// What others send takes places that Segue knows nothing of.
fn foreign_traffic(lane: &mut Lane, rng: &mut StdRng) -> Verdict {
    in_the_middle(lane, rng, Setup::default(), |world, rng| {
        for _ in 0..rng.random_range(20..40) {
            world.foreign_request();
            world.away(rng, 20..80);
        }
    })
}
