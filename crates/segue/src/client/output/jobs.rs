use segue_proto::v1;
use serde::Serialize;

use super::{Shown, short, time};
use crate::ui;

#[derive(Serialize)]
pub(in crate::client) struct DeadJob {
    id: String,
    state: String,
    cause: String,
    detail: String,
    job_id: String,
    /// Empty, like the ids, if nobody knows which job it was.
    kind: String,
    account_id: String,
    run_id: String,
    batch: Option<u64>,
    attempt: u32,
    deaths: u64,
    first_died_at: Option<String>,
    last_died_at: Option<String>,
    next_attempt_at: Option<String>,
    message_bytes: u64,
    message_sha256: String,
}

impl From<v1::DeadJob> for DeadJob {
    fn from(dead: v1::DeadJob) -> Self {
        let kind = match dead.kind() {
            v1::JobKind::Unspecified => String::new(),
            kind => short(kind.as_str_name(), "JOB_KIND_"),
        };
        Self {
            state: short(dead.state().as_str_name(), "DEAD_JOB_STATE_"),
            cause: short(dead.cause().as_str_name(), "DEATH_CAUSE_"),
            kind,
            id: dead.id,
            detail: dead.detail,
            job_id: dead.job_id,
            account_id: dead.account_id,
            run_id: dead.run_id,
            batch: dead.batch,
            attempt: dead.attempt,
            deaths: dead.deaths,
            first_died_at: time(dead.first_died_at),
            last_died_at: time(dead.last_died_at),
            next_attempt_at: time(dead.next_attempt_at),
            message_bytes: dead.message_bytes,
            message_sha256: dead.message_sha256,
        }
    }
}

impl Shown for DeadJob {
    const COLUMNS: &'static [&'static str] =
        &["ID", "STATE", "KIND", "RUN", "BATCH", "DEATHS", "LAST", "NEXT", "WHY"];

    fn cells(&self) -> Vec<String> {
        let or_dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
        let at = |time: &Option<String>| time.clone().unwrap_or_else(|| "-".to_owned());
        vec![
            self.id.clone(),
            self.state.clone(),
            or_dash(&self.kind),
            or_dash(&self.run_id),
            self.batch.map_or_else(|| "-".to_owned(), |batch| batch.to_string()),
            ui::grouped(self.deaths),
            at(&self.last_died_at),
            at(&self.next_attempt_at),
            self.detail.clone(),
        ]
    }
}
