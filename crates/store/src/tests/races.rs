//! Whatever decides, decided by two transactions at once: the second comes while the first is open. On
//! PostgreSQL it has to wait for a row of the first, which is checked; on SQLite it waits to begin.

use std::time::Duration;

use segue_model::RunId;

use super::{Engine, Fixture, LEASE, claim_id, job, job_id};
use crate::{sql::args, write};

impl Fixture {
    /// Returns once a transaction of this database waits for another.
    pub(super) async fn until_one_waits(&self) {
        const SQL: &str = "SELECT CAST(count(*) AS BIGINT) FROM pg_stat_activity \
             WHERE application_name = $1 AND wait_event_type = 'Lock'";
        let Some(schema) = self.database.schema() else {
            // There is nothing to be seen from outside: let the other come to its BEGIN.
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            return;
        };
        let patience = tokio::time::Instant::now() + Duration::from_secs(20);
        loop {
            let mut rows = self.store.read(SQL, args![schema]).await.unwrap();
            if rows[0].count().unwrap() > 0 {
                return;
            }
            assert!(tokio::time::Instant::now() < patience, "the second waits for nothing");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// What two transactions get that do the same, the second while the first is open; the first then commits
/// or is undone. `$n` is 0 in the first and 1 in the second.
macro_rules! race {
    ($fixture:ident, |$tx:ident, $n:ident| $outcome:expr) => {
        race!($fixture, commit, |$tx, $n| $outcome)
    };
    ($fixture:ident, $end:ident, |$tx:ident, $n:ident| $outcome:expr) => {{
        let (fixture, done) = (&$fixture, tokio::sync::Notify::new());
        let first = async {
            let mut tx = fixture.tx().await;
            let outcome = race!(@ &mut tx, 0, $tx, $n, $outcome);
            done.notify_one();
            fixture.until_one_waits().await;
            race!(@ $end, tx);
            outcome
        };
        let second = async {
            done.notified().await;
            let mut tx = fixture.tx().await;
            let outcome = race!(@ &mut tx, 1, $tx, $n, $outcome);
            tx.commit().await.unwrap();
            outcome
        };
        tokio::join!(first, second)
    }};
    (@ commit, $tx:ident) => { $tx.commit().await.unwrap() };
    (@ undo, $tx:ident) => { drop($tx) };
    (@ $now:expr, $which:literal, $tx:ident, $n:ident, $outcome:expr) => {{
        #[allow(unused_variables, reason = "not every case asks which it is")]
        let ($tx, $n) = ($now, $which);
        $outcome
    }};
}

mod batches;
mod jobs;
mod lanes;
mod others;
mod runs;

/// A run with batch 0 ready and an upload job 1 for it.
async fn with_a_job(engine: Engine) -> (Fixture, RunId) {
    let fixture = Fixture::new(engine).await;
    let run = fixture.run_with_a_batch().await;
    let mut tx = fixture.tx().await;
    job(&mut tx, run, job_id(1)).await;
    tx.commit().await.unwrap();
    (fixture, run)
}

/// As [`with_a_job`], claimed by claim 1.
async fn with_a_claim(engine: Engine) -> (Fixture, RunId) {
    let (fixture, run) = with_a_job(engine).await;
    let mut tx = fixture.tx().await;
    write::jobs::claim(&mut tx, job_id(1), 1, claim_id(1), LEASE).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    (fixture, run)
}
