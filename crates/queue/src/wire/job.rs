use prost::Message as _;
use ring::digest::{SHA256, digest};
use segue_model::{
    JobId, RunId,
    work::{Job, JobKind},
};
use segue_proto::v1;

use super::{SCHEMA, given};
use crate::{DeadJob, Death};

pub(crate) fn encode_job(job: &Job) -> Vec<u8> {
    // The trace travels in a header.
    let Job { id, attempt, kind, run, trace: _ } = job;
    let kind = match kind {
        JobKind::Read => v1::JobKind::Read,
        JobKind::Upload => v1::JobKind::Upload,
        JobKind::Confirm => v1::JobKind::Confirm,
        JobKind::Look => v1::JobKind::Look,
    };
    let message = v1::Job {
        schema: SCHEMA,
        job_id: id.to_string(),
        attempt: *attempt,
        kind: kind.into(),
        run_id: run.map(|run| run.to_string()).unwrap_or_default(),
    };
    message.encode_to_vec()
}

/// The error is the job as it is dead: what can be read of it, and what is wrong with it.
pub(crate) fn decode_job(body: &[u8], trace: Option<String>) -> Result<Job, DeadJob> {
    let Ok(message) = v1::Job::decode(body) else {
        let words = "it is not the message Job of segue.v1".to_owned();
        return Err(dead(body, None, None, Death::Unreadable { words }));
    };
    let id = message.job_id.parse::<JobId>().ok();
    let died = |death| dead(body, id, Some(message.attempt), death);
    let unreadable = |words: &str| died(Death::Unreadable { words: words.to_owned() });
    match message.schema {
        SCHEMA => {}
        0 => return Err(unreadable("schema is missing")),
        schema => return Err(died(Death::UnknownSchema { schema })),
    }
    let kind = match message.kind() {
        v1::JobKind::Unspecified => return Err(unreadable("kind is missing or unknown")),
        v1::JobKind::Read => JobKind::Read,
        v1::JobKind::Upload => JobKind::Upload,
        v1::JobKind::Confirm => JobKind::Confirm,
        v1::JobKind::Look => JobKind::Look,
    };
    let Some(id) = id else {
        return Err(unreadable("job_id is not an id of the form job_<uuid>"));
    };
    let run = given(message.run_id.clone()).map(|run| run.parse::<RunId>()).transpose();
    let run = run.map_err(|_| unreadable("run_id is not an id of the form run_<uuid>"))?;
    Ok(Job { id, attempt: message.attempt, kind, run, trace })
}

/// A message that was put aside. One that can be read was put aside by the broker.
pub(crate) fn decode_dead(body: &[u8]) -> DeadJob {
    match decode_job(body, None) {
        Ok(Job { id, attempt, .. }) => dead(body, Some(id), Some(attempt), Death::Deliveries),
        Err(dead) => dead,
    }
}

fn dead(body: &[u8], id: Option<JobId>, attempt: Option<u32>, death: Death) -> DeadJob {
    let digest = digest(&SHA256, body);
    let hex = |hex, byte| format!("{hex}{byte:02x}");
    let sha256 = digest.as_ref().iter().fold(String::new(), hex);
    DeadJob { id, attempt, death, bytes: body.len() as u64, sha256 }
}

#[cfg(test)]
mod tests {
    use segue_model::Id;
    use uuid::Uuid;

    use super::*;

    fn job(kind: JobKind, run: Option<u128>) -> Job {
        let run = run.map(|n| Id::from_uuid(Uuid::from_u128(n)));
        Job { id: Id::from_uuid(Uuid::from_u128(7)), attempt: 3, kind, run, trace: None }
    }

    fn message() -> v1::Job {
        v1::Job::decode(&*encode_job(&job(JobKind::Read, Some(1)))).unwrap()
    }

    #[test]
    fn every_kind_of_job_reads_back_as_itself() {
        for (kind, run) in [
            (JobKind::Read, Some(9)),
            (JobKind::Upload, Some(9)),
            (JobKind::Confirm, None),
            (JobKind::Look, None),
        ] {
            let job = job(kind, run);
            assert_eq!(decode_job(&encode_job(&job), None), Ok(job));
        }
    }

    #[test]
    fn later_schema_is_told_from_what_nobody_can_read() {
        let later = v1::Job { schema: 2, kind: 77, ..message() }.encode_to_vec();
        let dead = decode_job(&later, None).unwrap_err();
        assert_eq!(dead.death, Death::UnknownSchema { schema: 2 });
        assert_eq!((dead.id, dead.attempt), (Some(job(JobKind::Read, None).id), Some(3)));
    }

    #[test]
    fn unreadable_job_says_what_is_wrong_with_it() {
        let words = |body: &[u8]| match decode_job(body, None).unwrap_err().death {
            Death::Unreadable { words } => words,
            other => panic!("{other:?}"),
        };
        let with = |change: &dyn Fn(&mut v1::Job)| {
            let mut message = message();
            change(&mut message);
            words(&message.encode_to_vec())
        };
        assert!(words(b"\xff\xff").contains("not the message Job"));
        assert!(with(&|job| job.schema = 0).contains("schema"));
        assert!(with(&|job| job.kind = 5).contains("kind"));
        assert!(with(&|job| job.kind = 0).contains("kind"));
        assert!(with(&|job| job.job_id = "run_x".into()).contains("job_id"));
        assert!(with(&|job| job.run_id = "x".into()).contains("run_id"));
    }

    #[test]
    fn readable_dead_job_died_of_its_deliveries() {
        let dead = decode_dead(&encode_job(&job(JobKind::Read, None)));
        assert_eq!(dead.death, Death::Deliveries);
        let garbage = decode_dead(b"abc");
        assert_eq!((garbage.id, garbage.attempt, garbage.bytes), (None, None, 3));
        // Of FIPS 180-4.
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(garbage.sha256, known);
    }
}
