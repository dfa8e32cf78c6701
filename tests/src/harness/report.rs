use std::collections::BTreeMap;

use serde::Deserialize;

/// `--report`, with exactly the documented names: one more, one less or another type is an error.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    pub run_id: String,
    pub state: String,
    pub rows_read: u64,
    pub delivered: u64,
    pub rejected: u64,
    pub duplicates: u64,
    pub unchanged: u64,
    pub suppressed: u64,
    pub undelivered: u64,
    pub warnings: u64,
    pub batches: u64,
    pub requests: u64,
    pub repeated_sends: u64,
    pub throttled: u64,
    pub bytes: u64,
    pub started_at: Option<String>,
    pub first_request_at: Option<String>,
    pub last_accepted_at: Option<String>,
    pub ended_at: Option<String>,
    pub rejects_by_reason: BTreeMap<String, u64>,
}

impl Report {
    /// What every report has to satisfy, whatever happened.
    pub fn check(&self) {
        let accounted = self.delivered
            + self.rejected
            + self.duplicates
            + self.unchanged
            + self.suppressed
            + self.undelivered;
        assert_eq!(self.rows_read, accounted, "{self:#?}");
        assert_eq!(self.rejected, self.rejects_by_reason.values().sum::<u64>(), "{self:#?}");
        match self.state.as_str() {
            "succeeded" => assert_eq!((self.rejected, self.undelivered), (0, 0), "{self:#?}"),
            "completed_with_rejects" => {
                assert!(self.rejected > 0 && self.undelivered == 0, "{self:#?}");
            }
            "failed" | "cancelled" => {}
            other => panic!("{other:?} is no state in which a run ends"),
        }
        // As text the times compare like the moments they name: all are UTC with milliseconds.
        let times =
            [&self.started_at, &self.first_request_at, &self.last_accepted_at, &self.ended_at];
        let times: Vec<&String> = times.into_iter().flatten().collect();
        for time in &times {
            assert!(time.len() == 24 && time.ends_with('Z') && &time[19..20] == ".", "{time}");
            time.parse::<jiff::Timestamp>().unwrap();
        }
        assert!(times.is_sorted(), "{times:?}");
        // What is cancelled before anybody works on it has never started.
        let started =
            self.started_at.is_some() || (self.state == "cancelled" && self.rows_read == 0);
        assert!(started && self.ended_at.is_some(), "{self:#?}");
    }
}
