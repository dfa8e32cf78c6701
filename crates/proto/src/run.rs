//! Runs, as they go out.

use prost_types::Timestamp;
use segue_model::{
    Cause, Counts, Failure, Micros, RowCounts, RunState, RunView, SegmentTally, Tally,
};

use crate::{invalid::duration, v1};

impl From<RunView> for v1::Run {
    // Destructured, here and below, so that a field that is added to the model cannot be forgotten.
    fn from(view: RunView) -> Self {
        let RunView {
            run,
            export,
            state,
            cause,
            tally,
            failure,
            connection,
            account_id,
            list_id,
            request_id,
            retry_of,
            started_by,
            created,
            started,
            first_request,
            last_accepted,
            ended,
            seq,
            due,
            missed,
            guards_overridden,
            trial_rows,
            segments,
            not_by_segment,
            source_modified,
            source_age,
            same_source,
        } = view;
        let unknown = Some(not_by_segment).filter(|left| *left != RowCounts::default());
        Self {
            id: run.to_string(),
            export_id: export.map(|id| id.to_string()).unwrap_or_default(),
            state: v1::RunState::from(state).into(),
            trigger: v1::Trigger::from(cause).into(),
            counts: Some(tally.into()),
            failure: failure.map(v1::Failure::from),
            connection_id: connection.map(|id| id.to_string()).unwrap_or_default(),
            account_id,
            list_id,
            request_id: request_id.unwrap_or_default(),
            retry_of: retry_of.map(|id| id.to_string()).unwrap_or_default(),
            created_at: Some(timestamp(created)),
            started_at: started.map(timestamp),
            first_request_at: first_request.map(timestamp),
            last_accepted_at: last_accepted.map(timestamp),
            ended_at: ended.map(timestamp),
            seq,
            due_at: due.map(timestamp),
            missed,
            started_by: started_by.subject,
            started_by_name: started_by.name,
            guards_overridden,
            trial_rows: trial_rows.unwrap_or(0),
            segments: segments.into_iter().map(v1::SegmentCounts::from).collect(),
            not_by_segment: unknown.map(|left| segment_counts(String::new(), left)),
            source_modified_at: source_modified.map(timestamp),
            source_age: source_age.map(duration),
            same_source,
        }
    }
}

impl From<SegmentTally> for v1::SegmentCounts {
    fn from(SegmentTally { name, counts, delivered }: SegmentTally) -> Self {
        Self { delivered, ..segment_counts(name, counts) }
    }
}

fn segment_counts(name: String, counts: RowCounts) -> v1::SegmentCounts {
    let RowCounts { rows, duplicates, rejected } = counts;
    v1::SegmentCounts { name, rows_read: rows, duplicates, rejected, delivered: None }
}

impl From<Tally> for v1::Counts {
    fn from(tally: Tally) -> Self {
        let Tally {
            counts,
            batches,
            requests,
            repeated_sends,
            throttled,
            bytes,
            rejects_by_reason,
        } = tally;
        let Counts {
            rows_read,
            delivered,
            rejected,
            duplicates,
            unchanged,
            suppressed,
            undelivered,
            warnings,
        } = counts;
        let by_reason = rejects_by_reason.into_iter();
        Self {
            rows_read,
            delivered,
            rejected,
            duplicates,
            unchanged,
            suppressed,
            undelivered,
            warnings,
            batches,
            requests,
            repeated_sends,
            throttled,
            bytes,
            rejects_by_reason: by_reason.map(|(reason, n)| (reason.code().to_owned(), n)).collect(),
        }
    }
}

impl From<Failure> for v1::Failure {
    fn from(Failure { reason, detail }: Failure) -> Self {
        Self { reason: reason.code().to_owned(), detail }
    }
}

impl From<RunState> for v1::RunState {
    fn from(state: RunState) -> Self {
        match state {
            RunState::Queued => Self::Queued,
            RunState::Running => Self::Running,
            RunState::Cancelling => Self::Cancelling,
            RunState::Succeeded => Self::Succeeded,
            RunState::CompletedWithRejects => Self::CompletedWithRejects,
            RunState::Failed => Self::Failed,
            RunState::Cancelled => Self::Cancelled,
        }
    }
}

impl From<v1::RunState> for Option<RunState> {
    /// `None` for the unspecified one.
    fn from(state: v1::RunState) -> Self {
        match state {
            v1::RunState::Unspecified => None,
            v1::RunState::Queued => Some(RunState::Queued),
            v1::RunState::Running => Some(RunState::Running),
            v1::RunState::Cancelling => Some(RunState::Cancelling),
            v1::RunState::Succeeded => Some(RunState::Succeeded),
            v1::RunState::CompletedWithRejects => Some(RunState::CompletedWithRejects),
            v1::RunState::Failed => Some(RunState::Failed),
            v1::RunState::Cancelled => Some(RunState::Cancelled),
        }
    }
}

impl From<Cause> for v1::Trigger {
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::OnDemand => Self::OnDemand,
            Cause::Command => Self::Command,
            Cause::Retry => Self::Retry,
            Cause::CommandLine => Self::CommandLine,
            Cause::Schedule => Self::Schedule,
        }
    }
}

/// A time as the contract has it.
pub fn timestamp(at: Micros) -> Timestamp {
    let nanos = at.0.rem_euclid(1_000_000) * 1_000;
    Timestamp {
        seconds: at.0.div_euclid(1_000_000),
        nanos: i32::try_from(nanos).unwrap_or(i32::MAX),
    }
}

#[cfg(test)]
mod tests {
    use segue_model::{Micros, RunState};

    use super::timestamp;
    use crate::v1;

    #[test]
    fn every_state_comes_back_from_the_contract_as_itself() {
        for state in RunState::ALL {
            let back: Option<RunState> = v1::RunState::from(*state).into();
            assert_eq!(back, Some(*state));
        }
        assert_eq!(Option::<RunState>::from(v1::RunState::Unspecified), None);
    }

    #[test]
    fn states_have_the_names_of_the_contract() {
        for state in RunState::ALL {
            let name = format!("RUN_STATE_{}", state.name().to_uppercase());
            assert_eq!(v1::RunState::from(*state).as_str_name(), name);
        }
    }

    #[test]
    fn times_before_the_epoch_count_their_nanoseconds_forwards() {
        let at = timestamp(Micros(-1));
        assert_eq!((at.seconds, at.nanos), (-1, 999_999_000));
        let at = timestamp(Micros(1_790_000_000_123_456));
        assert_eq!((at.seconds, at.nanos), (1_790_000_000, 123_456_000));
    }
}
