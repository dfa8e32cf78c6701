//! Workers over gRPC, on a real port.

use std::net::SocketAddr;

use segue_model::work::{ReadWork, UploadWork};
use segue_store::test_util::Engine;
use segue_worker::{ControlPlane as Port, Remote};
use tokio::{net::TcpListener, runtime::Runtime};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    Code,
    transport::{Channel, Endpoint as Address, Server},
};

use super::{
    ACCOUNT, Answer, Arc, BatchNo, ClaimId, Claimed, ControlPlane, Duration, Endpoint, Id, JobKind,
    Next, PermitId, PermitReply, RunState, SECOND, SLOTS, Settings, Uuid, Verdict, Work, accepted,
    confirmation, new_run, read_done, run_id, settings, staged,
    turns::{House, announced},
};
use crate::grpc;

async fn nowhere() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// A server that can be killed together with its connections, as a process is.
struct Process(Option<Runtime>);

impl Process {
    fn kill(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn serve(cp: &Arc<ControlPlane>, at: SocketAddr) -> (SocketAddr, Process) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let service = grpc::worker_service(Arc::clone(cp));
    let serving = runtime.spawn(async move {
        let listener = TcpListener::bind(at).await.unwrap();
        let at = listener.local_addr().unwrap();
        let server = Server::builder().add_service(service);
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        at
    });
    (serving.await.unwrap(), Process(Some(runtime)))
}

fn remote(at: SocketAddr) -> Remote<Channel> {
    Remote::new(Address::from_shared(format!("http://{at}")).unwrap().connect_lazy())
}

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// A control-plane with a batch that a remote worker has claimed, and its permit.
async fn sending(house: &House) -> (Arc<ControlPlane>, ClaimId, PermitId) {
    let cp = house.instance(settings()).await;
    cp.start_run(&new_run(1)).await.unwrap();
    let job = announced(&cp, SLOTS).await.remove(0);
    let reader = cp.claim(job.id, job.attempt).await.unwrap().unwrap().claim;
    cp.stage(reader, &staged(0)).await.unwrap();
    cp.finish(reader, read_done()).await.unwrap();
    let job = announced(&cp, SLOTS).await.remove(0);
    let claim = cp.claim(job.id, job.attempt).await.unwrap().unwrap().claim;
    let granted = cp.permit(claim, ACCOUNT, Endpoint::Import).await.unwrap();
    let PermitReply::Granted(permit) = granted else { panic!("{granted:?}") };
    (cp, claim, permit)
}

async fn delivered(cp: &ControlPlane, house: &House) -> u64 {
    house.clock.advance(SECOND);
    let job = announced(cp, SLOTS).await.remove(0);
    assert_eq!(job.kind, JobKind::Confirm);
    let claim = cp.claim(job.id, job.attempt).await.unwrap().unwrap().claim;
    cp.confirm(claim, &confirmation(run_id(1), BatchNo(0), "k1", 0, 0)).await.unwrap();
    let progress = segue_store::read::progress(cp.store(), run_id(1)).await.unwrap();
    progress.unwrap().counts.delivered
}

#[tokio::test]
async fn whole_life_of_a_run_goes_over_the_wire() {
    let house = House::new(Engine::Sqlite).await;
    let cp = house.instance(settings()).await;
    let (at, _server) = serve(&cp, ANY).await;
    let worker = remote(at);
    cp.start_run(&new_run(1)).await.unwrap();
    let run = run_id(1);
    assert!(worker.renew("one", SLOTS, &[]).await.unwrap().is_empty());
    let job = announced(&cp, SLOTS).await.remove(0);
    let claimed = worker.claim(job.id, job.attempt).await.unwrap().unwrap();
    assert!(worker.claim(job.id, job.attempt).await.unwrap().is_none(), "it is taken");
    let Claimed { claim: reader, work: Work::Read(ReadWork { plan, credentials, .. }) } = claimed
    else {
        panic!("{claimed:?}");
    };
    assert_eq!((plan.as_str(), credentials.account_id.as_str()), ("{}", ACCOUNT));
    assert_eq!(worker.plan(reader, "{}", &[]).await.unwrap(), Next::GoOn);
    assert_eq!(
        worker.plan(reader, "{\"other\":1}", &[]).await.unwrap(),
        Next::Stop,
        "it is frozen"
    );
    assert_eq!(worker.stage(reader, &staged(0)).await.unwrap(), Next::GoOn);
    assert_eq!(worker.stage(reader, &staged(0)).await.unwrap(), Next::GoOn, "the same again");
    worker.finish(reader, read_done()).await.unwrap();
    let job = announced(&cp, SLOTS).await.remove(0);
    let Claimed { claim, work: Work::Upload(UploadWork { batch, profiles, .. }) } =
        worker.claim(job.id, job.attempt).await.unwrap().unwrap()
    else {
        panic!("no upload");
    };
    assert!(worker.renew("one", SLOTS, &[claim]).await.unwrap().is_empty());
    for answer in [Answer::NotSent, Answer::Ambiguous, accepted("k1", profiles, 0)] {
        let reply = worker.permit(claim, ACCOUNT, Endpoint::Import).await.unwrap();
        let PermitReply::Granted(permit) = reply else { panic!("{reply:?}") };
        worker.answer(permit, &answer).await.unwrap();
    }
    house.clock.advance(SECOND);
    let job = announced(&cp, SLOTS).await.remove(0);
    let Claimed { claim, work: Work::Confirm(work) } =
        worker.claim(job.id, job.attempt).await.unwrap().unwrap()
    else {
        panic!("nothing to confirm");
    };
    assert_eq!((work.wanted.len(), work.wanted[0].klaviyo_job.as_str()), (1, "k1"));
    let confirmed = confirmation(run, batch, "k1", 3, 0);
    assert_eq!(worker.confirm(claim, &confirmed).await.unwrap(), Next::GoOn);
    worker.finish(claim, Verdict::Passed { progress: true }).await.unwrap();
    let report = segue_store::read::report(cp.store(), run).await.unwrap().unwrap();
    assert_eq!((report.state, report.counts.delivered), (RunState::CompletedWithRejects, 7));
    assert_eq!((report.requests, report.repeated_sends), (2, 1));
    worker.told().await;
}

#[tokio::test]
async fn claim_that_has_ended_is_told_to_stop() {
    let house = House::new(Engine::Sqlite).await;
    let cp = house.instance(settings()).await;
    let (at, _server) = serve(&cp, ANY).await;
    let worker = remote(at);
    cp.start_run(&new_run(1)).await.unwrap();
    let job = announced(&cp, SLOTS).await.remove(0);
    let reader = worker.claim(job.id, job.attempt).await.unwrap().unwrap().claim;
    cp.cancel_run(run_id(1)).await.unwrap();
    assert_eq!(worker.renew("one", SLOTS, &[reader]).await.unwrap(), [reader]);
    assert_eq!(worker.stage(reader, &staged(0)).await.unwrap(), Next::Stop);
    assert_eq!(worker.plan(reader, "{}", &[]).await.unwrap(), Next::Stop);
    let reply = worker.permit(reader, ACCOUNT, Endpoint::Lists).await.unwrap();
    assert_eq!(reply, PermitReply::Stop);
    let confirmed = confirmation(run_id(1), BatchNo(0), "k1", 0, 0);
    assert_eq!(worker.confirm(reader, &confirmed).await.unwrap(), Next::Stop);
    worker.finish(reader, Verdict::Retry).await.unwrap();
    let nobodys: PermitId = Id::from_uuid(Uuid::now_v7());
    worker.answer(nobodys, &Answer::Fine).await.unwrap();
}

#[tokio::test]
async fn reader_that_is_far_ahead_waits_through_several_calls() {
    let house = House::new(Engine::Sqlite).await;
    let wait = Duration::from_millis(30);
    let cp = house.instance(Settings { batches_ahead: 2, permit_wait: wait, ..settings() }).await;
    let (at, _server) = serve(&cp, ANY).await;
    let worker = remote(at);
    cp.start_run(&new_run(1)).await.unwrap();
    let job = announced(&cp, SLOTS).await.remove(0);
    let reader = worker.claim(job.id, job.attempt).await.unwrap().unwrap().claim;
    assert_eq!(worker.stage(reader, &staged(0)).await.unwrap(), Next::GoOn);
    let second = staged(1);
    let mut waiting = std::pin::pin!(worker.stage(reader, &second));
    let early = tokio::time::timeout(10 * wait, &mut waiting).await;
    assert!(early.is_err(), "{early:?}");
    let jobs = announced(&cp, SLOTS).await;
    let claim = cp.claim(jobs[0].id, 1).await.unwrap().unwrap().claim;
    let granted = cp.permit(claim, ACCOUNT, Endpoint::Import).await.unwrap();
    let PermitReply::Granted(permit) = granted else { panic!("{granted:?}") };
    cp.answer(permit, &accepted("k1", 10, 0)).await.unwrap();
    assert_eq!(waiting.await.unwrap(), Next::GoOn);
    let progress = segue_store::read::progress(cp.store(), run_id(1)).await.unwrap().unwrap();
    assert_eq!(progress.counts.rows_read, 26, "each batch counts once");
}

#[tokio::test]
async fn acceptance_is_told_although_its_worker_gave_up_and_the_control_plane_was_away() {
    let house = House::new(Engine::Sqlite).await;
    let (cp, _claim, permit) = sending(&house).await;
    let at = nowhere().await;
    let worker = remote(at);
    let teller = tokio::spawn({
        let worker = worker.clone();
        async move { worker.answer(permit, &accepted("k1", 10, 0)).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!teller.is_finished(), "nobody is there to be told");
    teller.abort();
    assert!(teller.await.unwrap_err().is_cancelled());
    let (_, _server) = serve(&cp, at).await;
    tokio::time::timeout(Duration::from_secs(20), worker.told()).await.unwrap();
    assert_eq!(delivered(&cp, &house).await, 10);
}

#[tokio::test]
async fn calls_that_may_be_repeated_outlast_a_restart_of_the_control_plane() {
    let house = House::new(Engine::Sqlite).await;
    let cp = house.instance(settings()).await;
    let (at, mut server) = serve(&cp, ANY).await;
    let worker = remote(at);
    cp.start_run(&new_run(1)).await.unwrap();
    let job = announced(&cp, SLOTS).await.remove(0);
    let reader = worker.claim(job.id, job.attempt).await.unwrap().unwrap().claim;
    server.kill();
    drop(cp);
    let working = tokio::spawn({
        let worker = worker.clone();
        async move {
            assert_eq!(worker.plan(reader, "{}", &[]).await.unwrap(), Next::GoOn);
            assert_eq!(worker.stage(reader, &staged(0)).await.unwrap(), Next::GoOn);
            worker.finish(reader, read_done()).await.unwrap();
        }
    });
    house.clock.advance(30 * SECOND);
    let cp = house.instance(settings()).await;
    cp.grace().await.unwrap();
    let (_, _server) = serve(&cp, at).await;
    working.await.unwrap();
    let jobs = announced(&cp, SLOTS).await;
    assert_eq!(jobs.iter().map(|job| job.kind).collect::<Vec<_>>(), [JobKind::Upload]);
}

#[tokio::test]
async fn control_plane_that_is_not_there_claims_nothing_and_does_not_hold_up_the_next_renewal() {
    let worker = remote(nowhere().await);
    let job = Id::from_uuid(Uuid::now_v7());
    let calls = async {
        worker.claim(job, 1).await.unwrap_err();
        worker.renew("one", SLOTS, &[]).await.unwrap_err();
    };
    tokio::time::timeout(Duration::from_secs(10), calls).await.unwrap();
}

#[tokio::test]
async fn request_that_makes_no_sense_is_refused_by_the_name_of_its_field() {
    use segue_proto::v1::{self, worker_service_client::WorkerServiceClient};
    use tonic_types::StatusExt as _;
    let house = House::new(Engine::Sqlite).await;
    let cp = house.instance(settings()).await;
    let (at, _server) = serve(&cp, ANY).await;
    let channel = Address::from_shared(format!("http://{at}")).unwrap().connect_lazy();
    let mut client = WorkerServiceClient::new(channel);
    let status = client
        .claim(v1::ClaimRequest { job_id: "run_1".to_owned(), attempt: 1 })
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let violations = status.get_details_bad_request().unwrap().field_violations;
    assert_eq!(violations[0].field, "job_id");
    let mut batch = v1::StagedBatch::from(&staged(0));
    batch.rejects.as_mut().unwrap().by_reason.insert("no_reason".to_owned(), 1);
    let claim_id = ClaimId::from_uuid(Uuid::now_v7()).to_string();
    let status = client.stage(v1::StageRequest { claim_id, batch: Some(batch) }).await.unwrap_err();
    let violations = status.get_details_bad_request().unwrap().field_violations;
    assert_eq!(violations[0].field, "batch.rejects.by_reason");
    let verdict = v1::FinishRequest::default();
    assert_eq!(client.finish(verdict).await.unwrap_err().code(), Code::InvalidArgument);
}
