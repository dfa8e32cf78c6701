//! Statements that are asked all the time go by an index, whatever the history.

use super::{Engine, Fixture};
use crate::{
    Tx,
    sql::{Arg, args},
    write::{batches, dead, jobs, lanes, runs},
};

/// What SQLite means to do, one step a line.
async fn plan(tx: &mut Tx, explain: &'static str, args: &[Arg]) -> String {
    let mut steps = String::new();
    for mut row in tx.rows(explain, args).await.unwrap() {
        for _ in 0..3 {
            row.int().unwrap();
        }
        steps.push_str(&row.string().unwrap());
        steps.push('\n');
    }
    steps
}

macro_rules! assert_plan {
    ($tx:ident, $sql:expr, $args:expr, $($uses:expr),+) => {{
        let explain = format!("EXPLAIN QUERY PLAN {}", $sql);
        let steps = plan(&mut $tx, Box::leak(explain.into_boxed_str()), $args).await;
        $(assert!(steps.contains($uses), "{} does not use {}:\n{steps}", $sql, $uses);)+
        for table in ["jobs", "runs", "batches", "sends", "events"] {
            let all = format!("SCAN {table}");
            assert!(!steps.contains(&all), "{} goes through all {table}:\n{steps}", $sql);
        }
    }};
}

#[tokio::test]
async fn statements_that_are_asked_all_the_time_use_their_index() {
    let fixture = Fixture::new(Engine::Sqlite).await;
    let mut tx = fixture.tx().await;
    assert_plan!(
        tx,
        jobs::CLAIM,
        args!["", 1_u32, "", 1_u32, 1_u32],
        "autoindex_jobs_1 (job_id=?)"
    );
    assert_plan!(tx, dead::REVIVE, args![""], "autoindex_dead_jobs_2 (subject=?)");
    assert_plan!(
        tx,
        runs::LOCK_OF_CLAIM,
        args![""],
        "autoindex_runs_1 (run_id=?)",
        "jobs_by_claim (claim_id=?)"
    );
    assert_plan!(
        tx,
        runs::LOCK_OF_JOB,
        args![""],
        "autoindex_runs_1 (run_id=?)",
        "autoindex_jobs_1 (job_id=?)"
    );
    for renew in [jobs::RENEW_OF_RUN, jobs::RENEW_OF_ACCOUNT] {
        assert_plan!(tx, renew, args!["", 1_u32, 1_u32], "jobs_by_claim (claim_id=?)");
    }
    assert_plan!(tx, jobs::HELD, args!["", 1_u32], "jobs_by_claim (claim_id=?)");
    assert_plan!(tx, jobs::NEXT, &[], "jobs_by_state (state=?)");
    assert_plan!(tx, jobs::LIVE, args![1_u32], "jobs_by_state (state=?)");
    let these = args![1_u32, 1_u32, "", "", "", 1_u32];
    let by_state = "jobs_by_state (state=? AND announce_us<?)";
    assert_plan!(tx, jobs::ANNOUNCE, these, by_state);
    assert_plan!(tx, jobs::ANNOUNCE_AGAIN, &these[..5], by_state);
    assert_plan!(
        tx,
        lanes::PLACES,
        args!["", "", 1_u32, 1_u32, 1_u32],
        "sends_by_lane (account_id=? AND endpoint=? AND answered_us=?)",
        "sends_by_lane (account_id=? AND endpoint=? AND answered_us>?)"
    );
    assert_plan!(tx, lanes::ABANDON, args!["", 1_u32], "sends_of_claim (claim_id=?)");
    assert_plan!(tx, batches::AHEAD, args![""], "batches_by_state (run_id=? AND state=?)");
    assert_plan!(tx, runs::OPEN, args![""], "batches_by_state (run_id=? AND state=?)");
    assert_plan!(tx, runs::IN_FLIGHT, args![""], "sends_in_flight (run_id=?)");
    assert_plan!(
        tx,
        batches::WANTED,
        args![""],
        "runs_live (account_id=?)",
        "batches_by_state (run_id=? AND state=?)"
    );
}
