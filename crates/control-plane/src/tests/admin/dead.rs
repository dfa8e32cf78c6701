//! Dead jobs, as people and programs see them.

use segue_model::work::JobKind;
use segue_proto::v1::{self, DeadJobState, DeathCause, RunState};
use segue_queue::{DeadJob, Death};
use segue_store::read;
use tonic::{Code, Status};

use super::{World, field_names, missing, obstacles, run_id};

fn dead(job: Option<(segue_model::JobId, u32)>, sha256: &str, death: Death) -> DeadJob {
    let (id, attempt) = job.unzip();
    DeadJob { id, attempt, death, bytes: 12, sha256: sha256.to_owned() }
}

fn garbage(sha256: &str) -> DeadJob {
    dead(None, sha256, Death::Unreadable { words: "it is no job".to_owned() })
}

impl World {
    async fn list_dead(
        &self,
        run_id: &str,
        page_size: i32,
        page_token: &str,
    ) -> Result<v1::ListDeadJobsResponse, Status> {
        let (run_id, page_token) = (run_id.to_owned(), page_token.to_owned());
        let request = v1::ListDeadJobsRequest { run_id, page_size, page_token };
        Ok(self.jobs().list_dead_jobs(request).await?.into_inner())
    }

    async fn requeue(&self, id: &str) -> Result<u32, Status> {
        let request = v1::RequeueDeadJobRequest { id: id.to_owned() };
        Ok(self.jobs().requeue_dead_job(request).await?.into_inner().attempt)
    }

    async fn drop_dead(&self, id: &str) -> Result<v1::DropDeadJobResponse, Status> {
        let request = v1::DropDeadJobRequest { id: id.to_owned() };
        Ok(self.jobs().drop_dead_job(request).await?.into_inner())
    }
}

#[tokio::test]
async fn dead_job_says_which_run_which_batch_and_why_and_can_be_requeued_or_dropped() {
    let world = World::new().await;
    let export = world.export().await;
    let run = world.start(&export.id, "r").await.unwrap();
    let job = world.announced().await.remove(0);
    let unknown = Death::UnknownSchema { schema: 7 };
    let dies = dead(Some((job.id, job.attempt)), "ab", unknown.clone());
    world.cp.dead_job(&dies).await.unwrap();
    let listed = world.list_dead("", 0, "").await.unwrap().dead_jobs.remove(0);
    assert_eq!(
        (listed.state(), listed.cause()),
        (DeadJobState::Waiting, DeathCause::UnknownSchema)
    );
    assert_eq!((listed.kind(), &listed.run_id), (v1::JobKind::Read, &run.id));
    assert_eq!((listed.batch, listed.attempt, listed.deaths), (None, 1, 1));
    assert_eq!((&listed.job_id, listed.account_id.as_str()), (&job.id.to_string(), "SIMULA"));
    assert!(listed.detail.contains("schema 7"), "{listed:?}");
    let (next, last) = (listed.next_attempt_at.unwrap(), listed.last_died_at.unwrap());
    assert!((next.seconds, next.nanos) > (last.seconds, last.nanos), "{listed:?}");
    assert_eq!((listed.message_bytes, listed.message_sha256.as_str()), (12, "ab"));

    assert_eq!(world.requeue(&listed.id).await.unwrap(), 3);
    let again = world.announced().await.remove(0);
    assert_eq!((again.id, again.attempt), (job.id, 3));
    world.cp.dead_job(&dead(Some((again.id, again.attempt)), "ab", unknown)).await.unwrap();
    let listed = world.list_dead(&run.id, 0, "").await.unwrap().dead_jobs.remove(0);
    world.drop_dead(&listed.id).await.unwrap();
    let ended = read::run(world.cp.store(), run_id(&run)).await.unwrap().unwrap();
    let ended = v1::Run::from(ended);
    assert_eq!(ended.state(), RunState::Failed);
    assert_eq!(ended.failure.unwrap().reason, "job_dropped");
    let gone = ("segue.v1.DeadJob".to_owned(), listed.id.clone());
    assert_eq!(missing(world.drop_dead(&listed.id).await, Code::NotFound), gone);
    assert_eq!(missing(world.requeue(&listed.id).await, Code::NotFound), gone);
}

#[tokio::test]
async fn batch_of_a_dead_upload_is_told() {
    let world = World::new().await;
    let export = world.export().await;
    world.start(&export.id, "r").await.unwrap();
    let reader = world.claim(JobKind::Read).await.claim;
    world.cp.stage(reader, &crate::tests::staged(0)).await.unwrap();
    let job = world.announced().await.remove(0);
    world.cp.dead_job(&dead(Some((job.id, 1)), "ab", Death::Deliveries)).await.unwrap();
    let listed = world.list_dead("", 0, "").await.unwrap().dead_jobs.remove(0);
    assert_eq!((listed.kind(), listed.batch), (v1::JobKind::Upload, Some(0)));
    assert_eq!(listed.cause(), DeathCause::Deliveries);
}

#[tokio::test]
async fn pages_of_dead_jobs_end_and_what_is_wrong_with_a_request_is_named() {
    let world = World::new().await;
    for sha256 in ["a", "b", "c", "d", "e"] {
        world.cp.dead_job(&garbage(sha256)).await.unwrap();
    }
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let page = world.list_dead("", 2, &token).await.unwrap();
        assert!(page.dead_jobs.len() <= 2);
        seen.extend(page.dead_jobs);
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    let hashes: Vec<_> = seen.iter().map(|dead| dead.message_sha256.as_str()).collect();
    assert_eq!(hashes, ["a", "b", "c", "d", "e"], "oldest first");
    let first = &seen[0];
    assert_eq!((first.state(), first.kind()), (DeadJobState::NoJob, v1::JobKind::Unspecified));
    assert_eq!((first.job_id.as_str(), first.run_id.as_str(), first.batch), ("", "", None));
    assert_eq!(first.next_attempt_at, None);

    let obstacle = obstacles(world.requeue(&first.id).await);
    assert_eq!(obstacle, [("NO_JOB".to_owned(), first.id.clone())]);
    assert_eq!(field_names(world.list_dead("run", 0, "").await), ["run_id"]);
    assert_eq!(field_names(world.list_dead("", -1, "!").await), ["page_size", "page_token"]);
    assert_eq!(field_names(world.requeue("job_1").await), ["id"]);
    assert_eq!(field_names(world.drop_dead("").await), ["id"]);
}
