//! The troubles of one account are no troubles of another.

use klaviyo_sim::{AccountConfig, Faults, KeyConfig, ListConfig, Trigger};
use rand::rngs::StdRng;

use super::Case;
use crate::{
    chaos::{
        verdict::{Target, Verdict},
        world::{Lane, Setup, World},
    },
    harness::People,
};

pub(super) const CASES: &[Case] = &[Case::new(
    ("I7", "isolation"),
    "one account is throttled, fails and loses answers; the batches of the other come as fast as without it",
    isolation,
)];

const LISTS: [&str; 2] = ["BQUIET", "BLOUD1"];

/// The other account, with a list for the quiet run and one for the run beside the trouble.
fn other() -> AccountConfig {
    AccountConfig {
        id: "OTHERB".to_owned(),
        name: "Undisturbed".to_owned(),
        keys: vec![KeyConfig::all_scopes("pk_b")],
        lists: LISTS.iter().map(|id| ListConfig::new(*id, "Undisturbed")).collect(),
        ..AccountConfig::default()
    }
}

fn isolation(lane: &mut Lane, rng: &mut StdRng) -> Verdict {
    let mut setup = Setup::default();
    setup.klaviyo.accounts.push(other());
    let mut world = World::new(lane, setup);
    People::good(5_000).write(&world.services.source().join("b.csv"));
    let client = world.services.client("pk_b");
    let [quiet, loud] = LISTS.map(|list| client.export("b.csv", list));

    let run = world.services.start_run(&quiet);
    world.end(&run);
    let alone = slowest(&gaps(&world, LISTS[0]));
    // Its minute has to begin anew, or the second run would wait for the first.
    std::thread::sleep(std::time::Duration::from_secs(61));

    world.sim.set_faults(Faults {
        only_keys: ["pk_sim".to_owned()].into(),
        throttle: Trigger::probability(0.2),
        fail: Trigger::probability(0.2),
        drop: Trigger::probability(0.1),
        slow_ms: 300,
        ..Faults::default()
    });
    let troubled = world.start();
    world.in_the_middle(rng);
    let run = world.services.start_run(&loud);
    let ended = world.end(&run);
    let beside = slowest(&gaps(&world, LISTS[1]));
    let delivered = ended["counts"]["delivered"].as_u64().unwrap();

    let troubled = world.end(&troubled);
    let target = Target { others: &["OTHERB"], ..Target::default() };
    let mut verdict = world.judge_ended(&troubled, &target);
    verdict.lost += 5_000 - delivered;
    verdict.recovery = None;
    verdict.fired = true;
    if beside > 2 * alone {
        let words =
            format!("95 % of the other's batches came within {beside} ms, alone within {alone} ms");
        verdict.problems.push(words);
    }
    verdict
}

/// Milliseconds from each acceptance for a list to the next.
fn gaps(world: &World<'_>, list: &str) -> Vec<u64> {
    let state = world.sim.state();
    let accepted = state.imports().filter(|it| it.lists == [list]).map(|it| it.accepted_at_ms);
    let mut moments: Vec<u64> = accepted.collect();
    moments.sort_unstable();
    moments.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

/// 95 % of them are no longer.
fn slowest(gaps: &[u64]) -> u64 {
    let mut sorted = gaps.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() * 95 / 100).copied().unwrap_or(0)
}
