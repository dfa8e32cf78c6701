//! A random walk: whatever happens in whatever order, the rows add up as a model of the truth says, and a
//! run that is then left alone by faults ends.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use segue_model::work::UploadWork;

use super::{
    Answer, BatchNo, ClaimId, Claimed, Counts, Duration, Endpoint, Engine, JobKind, LEASE, Micros,
    Next, PermitId, PermitReply, RejectReason, RunId, RunState, SECOND, Verdict, Work, World,
    accepted, confirmation, halves, read_done, rejects, staged,
};

const BATCHES: u32 = 4;

/// What may happen. Numbers choose among what there is.
#[derive(Debug, Clone)]
enum Step {
    ClaimRead,
    StageNext,
    ReadDone,
    ClaimUpload,
    Permit(usize),
    /// Klaviyo takes the batch but for so many rows; `usize` chooses the request.
    Accept(usize, u64),
    Fail(usize, u16),
    Lose(usize),
    Retry(usize),
    RefuseAll(usize),
    Split(usize, u64),
    /// Klaviyo says what became of a job, named and unnamed failures, by a fresh confirm claim.
    Confirm(usize, u64, u64),
    /// Time passes; claims that are not renewed run out.
    Wait(u64),
    Renew,
    Sweep,
    /// The process dies and the run is gone on with.
    Die,
    Cancel,
}

fn step() -> impl Strategy<Value = Step> {
    let which = 0..8_usize;
    prop_oneof![
        3 => Just(Step::ClaimRead),
        6 => Just(Step::StageNext),
        3 => Just(Step::ReadDone),
        6 => Just(Step::ClaimUpload),
        8 => which.clone().prop_map(Step::Permit),
        6 => (which.clone(), 0..3_u64).prop_map(|(n, bad)| Step::Accept(n, bad)),
        1 => (which.clone(), prop_oneof![Just(400), Just(503)]).prop_map(|(n, s)| Step::Fail(n, s)),
        1 => which.clone().prop_map(Step::Lose),
        2 => which.clone().prop_map(Step::Retry),
        1 => which.clone().prop_map(Step::RefuseAll),
        2 => (which.clone(), 0..2_u64).prop_map(|(n, bad)| Step::Split(n, bad)),
        5 => (which, 0..3_u64, 0..2_u64).prop_map(|(n, a, b)| Step::Confirm(n, a, b)),
        4 => (1..7_u64).prop_map(Step::Wait),
        4 => Just(Step::Renew),
        2 => Just(Step::Sweep),
        1 => Just(Step::Die),
        1 => prop_oneof![19 => Just(Step::Renew), 1 => Just(Step::Cancel)],
    ]
}

/// Where the truth has a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Truth {
    Ready,
    Accepted {
        sent: u64,
    },
    /// Delivered, and undelivered for good.
    Confirmed {
        delivered: u64,
        undelivered: u64,
    },
    Split,
}

/// A request under way, or one that was given up and may still be answered.
struct Sent {
    permit: PermitId,
    claim: ClaimId,
    batch: BatchNo,
    profiles: u64,
}

struct Walk {
    world: World,
    run: RunId,
    reader: Option<ClaimId>,
    next: u32,
    uploads: Vec<(ClaimId, UploadWork)>,
    sends: Vec<Sent>,
    jobs: Vec<(BatchNo, String)>,
    /// Until when claims are good that have not ended otherwise.
    leases: BTreeMap<ClaimId, Micros>,
    /// The model.
    batches: BTreeMap<BatchNo, (u64, Truth)>,
    rejected: u64,
    staged: BTreeSet<u32>,
    made: u128,
}

impl Walk {
    async fn new(engine: Engine) -> Self {
        let world = World::new(engine).await;
        let run = world.start(1).await;
        Self {
            world,
            run,
            reader: None,
            next: 0,
            uploads: Vec::new(),
            sends: Vec::new(),
            jobs: Vec::new(),
            leases: BTreeMap::new(),
            batches: BTreeMap::new(),
            rejected: 0,
            staged: BTreeSet::new(),
            made: 1000,
        }
    }

    fn now(&self) -> Micros {
        segue_store::Clock::now(&self.world.clock)
    }

    fn hold(&mut self, claim: ClaimId) {
        let until = self.now() + LEASE;
        self.leases.insert(claim, until);
    }

    /// Whether a claim is good now.
    async fn live(&self, claim: ClaimId) -> bool {
        self.leases.get(&claim).is_some_and(|until| *until > self.now())
            && !self.world.state(self.run).await.is_terminal()
    }

    /// A claim ends with its verdict.
    async fn finish(&mut self, claim: ClaimId, verdict: Verdict) {
        self.leases.remove(&claim);
        self.world.finish(claim, verdict).await;
    }

    async fn stopped(&self) -> bool {
        !matches!(self.world.state(self.run).await, RunState::Queued | RunState::Running)
    }

    fn truth(&self, batch: BatchNo) -> Truth {
        self.batches[&batch].1
    }

    fn set(&mut self, batch: BatchNo, truth: Truth) {
        self.batches.get_mut(&batch).unwrap().1 = truth;
    }

    fn fresh(&mut self) -> u128 {
        self.made += 10;
        self.made
    }

    async fn take(&mut self, step: &Step) {
        match step {
            Step::ClaimRead => self.claim_read().await,
            Step::StageNext => self.stage_next().await,
            Step::ReadDone => {
                if let Some(reader) = self.reader.filter(|_| self.next == BATCHES) {
                    self.finish(reader, read_done()).await;
                    self.reader = None;
                }
            }
            Step::ClaimUpload => {
                if let Some(Claimed { claim, work: Work::Upload(work) }) =
                    self.world.try_claim(JobKind::Upload).await
                {
                    assert_eq!(self.truth(work.batch), Truth::Ready, "{}", work.batch);
                    self.hold(claim);
                    self.uploads.push((claim, work));
                }
            }
            Step::Permit(nth) => self.permit(*nth).await,
            Step::Accept(nth, bad) => self.accept(*nth, *bad).await,
            Step::Fail(nth, status) => {
                self.answer(*nth, Answer::NotApplied { status: *status }).await;
            }
            Step::Lose(nth) => self.answer(*nth, Answer::Ambiguous).await,
            Step::Retry(nth) => {
                if let Some((claim, _)) = self.upload(*nth) {
                    self.finish(claim, Verdict::Retry).await;
                }
            }
            Step::RefuseAll(nth) => self.refuse_all(*nth).await,
            Step::Split(nth, bad) => self.split(*nth, *bad).await,
            Step::Confirm(nth, named, unnamed) => self.confirm(*nth, *named, *unnamed).await,
            Step::Wait(seconds) => self.world.clock.advance(Duration::from_secs(*seconds)),
            Step::Renew => {
                let claims: Vec<ClaimId> =
                    self.uploads.iter().map(|(claim, _)| *claim).chain(self.reader).collect();
                let ended = self.world.renew(&claims).await;
                for claim in claims {
                    assert_eq!(!ended.contains(&claim), self.live(claim).await, "{claim}");
                    if !ended.contains(&claim) {
                        self.hold(claim);
                    }
                }
            }
            Step::Sweep => {
                self.world.cp.sweep_claims().await.unwrap();
                self.world.cp.sweep_runs().await.unwrap();
            }
            Step::Die => self.die().await,
            Step::Cancel => {
                self.world.cp.cancel_run(self.run).await.unwrap();
            }
        }
    }

    async fn claim_read(&mut self) {
        if let Some(Claimed { claim, work: Work::Read(work) }) =
            self.world.try_claim(JobKind::Read).await
        {
            let known: BTreeSet<u32> = work.known.keys().map(|no| no.0).collect();
            assert_eq!(known, self.staged);
            self.hold(claim);
            self.reader = Some(claim);
            self.next = 0;
        }
    }

    async fn stage_next(&mut self) {
        let Some(reader) = self.reader.filter(|_| self.next < BATCHES) else { return };
        let counts = self.live(reader).await && !self.stopped().await;
        let reply = self.world.cp.stage(reader, &staged(self.next)).await.unwrap();
        assert_eq!(reply, if counts { Next::GoOn } else { Next::Stop });
        if counts && self.staged.insert(self.next) {
            self.batches.insert(BatchNo(self.next), (10, Truth::Ready));
            self.rejected += 1;
        }
        self.next += u32::from(counts);
    }

    /// One of the uploads that somebody works on, or thinks so.
    fn upload(&mut self, nth: usize) -> Option<(ClaimId, UploadWork)> {
        (nth < self.uploads.len()).then(|| self.uploads.remove(nth))
    }

    async fn permit(&mut self, nth: usize) {
        let Some((claim, work)) = self.uploads.get(nth) else { return };
        let claim = *claim;
        let may = self.live(claim).await
            && !self.stopped().await
            && self.truth(work.batch) == Truth::Ready;
        match self.world.permit(claim, Endpoint::Import).await {
            PermitReply::Granted(permit) => {
                assert!(may, "a permit for what must not be sent");
                let (batch, profiles) = (work.batch, work.profiles);
                self.sends.push(Sent { permit, claim, batch, profiles });
            }
            PermitReply::Later(_) => assert!(may),
            PermitReply::Stop => assert!(!may),
        }
    }

    async fn answer(&mut self, nth: usize, answer: Answer) {
        if nth < self.sends.len() {
            let sent = self.sends.remove(nth);
            self.world.answer(sent.permit, answer).await;
        }
    }

    /// An acceptance counts if it is the first and the run has not ended, whoever says it and however late.
    async fn accept(&mut self, nth: usize, bad: u64) {
        if nth >= self.sends.len() {
            return;
        }
        let Sent { permit, claim, batch, profiles } = self.sends.remove(nth);
        let (job, sent) = (format!("k{}", self.fresh()), profiles - bad.min(profiles));
        let ended = self.world.state(self.run).await.is_terminal();
        self.world.answer(permit, accepted(&job, sent, profiles - sent)).await;
        self.leases.remove(&claim);
        if self.truth(batch) == Truth::Ready && !ended {
            self.rejected += profiles - sent;
            self.set(batch, Truth::Accepted { sent });
            self.jobs.push((batch, job));
        }
    }

    async fn refuse_all(&mut self, nth: usize) {
        let Some((claim, work)) = self.upload(nth) else { return };
        let counts = self.live(claim).await && self.truth(work.batch) == Truth::Ready;
        let report = format!("{}-all", self.fresh());
        let all = rejects(RejectReason::RefusedByKlaviyo, work.profiles, &report);
        self.finish(claim, Verdict::AllRefused(all)).await;
        if counts {
            self.rejected += work.profiles;
            self.set(work.batch, Truth::Confirmed { delivered: 0, undelivered: 0 });
        }
    }

    async fn split(&mut self, nth: usize, bad: u64) {
        let Some((claim, work)) = self.upload(nth) else { return };
        if work.profiles - bad < 2 {
            return self.finish(claim, Verdict::Retry).await;
        }
        let counts = self.live(claim).await && self.truth(work.batch) == Truth::Ready;
        let before = self.world.report(self.run).await.state;
        let seed = self.fresh();
        let children = halves(seed, work.profiles - bad);
        let refused = rejects(RejectReason::RefusedByKlaviyo, bad, &format!("{seed}-split"));
        self.finish(claim, Verdict::Split { children, refused }).await;
        if !counts || before.is_terminal() {
            return;
        }
        // Unless the budget was spent, which fails the run.
        let all = segue_store::read::batches(self.world.cp.store(), self.run).await.unwrap();
        let new: Vec<_> =
            all.iter().filter(|view| !self.batches.contains_key(&view.batch)).collect();
        assert!(matches!(new.len(), 0 | 2));
        for view in &new {
            assert!(view.batch.0 > 1 << 31);
            self.batches.insert(view.batch, (view.profiles, Truth::Ready));
        }
        if !new.is_empty() {
            self.rejected += bad;
            self.set(work.batch, Truth::Split);
        }
    }

    async fn confirm(&mut self, nth: usize, named: u64, unnamed: u64) {
        if nth >= self.jobs.len() {
            return;
        }
        let Some(Claimed { claim, work: Work::Confirm(work) }) =
            self.world.try_claim(JobKind::Confirm).await
        else {
            return;
        };
        let (batch, job) = self.jobs[nth].clone();
        let wanted = work.wanted.iter().any(|wanted| wanted.klaviyo_job == job);
        if let (Truth::Accepted { sent }, true) = (self.truth(batch), wanted) {
            let named = named.min(sent);
            let unnamed = unnamed.min(sent - named);
            let confirmed = confirmation(self.run, batch, &job, named, unnamed);
            for _ in 0..2 {
                self.world.cp.confirm(claim, &confirmed).await.unwrap();
            }
            self.rejected += named;
            let delivered = sent - named - unnamed;
            self.set(batch, Truth::Confirmed { delivered, undelivered: unnamed });
        }
        self.world.finish(claim, Verdict::Passed { progress: true }).await;
    }

    async fn die(&mut self) {
        self.world.restart().await;
        self.world.cp.resume_run(self.run).await.unwrap();
        self.reader = None;
        self.uploads.clear();
        self.leases.clear();
    }

    /// What the truth says of the rows.
    fn expected(&self) -> Counts {
        let staged = self.staged.len() as u64;
        let mut counts = Counts {
            rows_read: 13 * staged,
            duplicates: 2 * staged,
            rejected: self.rejected,
            ..Counts::default()
        };
        for (profiles, truth) in self.batches.values() {
            match truth {
                Truth::Ready => counts.undelivered += profiles,
                Truth::Accepted { sent } => counts.undelivered += sent,
                Truth::Confirmed { delivered, undelivered } => {
                    counts.delivered += delivered;
                    counts.undelivered += undelivered;
                }
                Truth::Split => {}
            }
        }
        counts
    }

    async fn look(&self, after: &dyn std::fmt::Debug) {
        assert_eq!(self.world.counts(self.run).await, self.expected(), "after {after:?}");
        let report = self.world.report(self.run).await;
        let names: BTreeSet<&String> = report.reject_reports.iter().collect();
        assert_eq!(names.len(), report.reject_reports.len(), "rejects are named once");
        assert_eq!(report.rejects_by_reason.values().sum::<u64>(), self.rejected);
    }

    /// From here on everybody does what they should, and Klaviyo too.
    async fn see_through(&mut self) -> RunState {
        for _ in 0..500 {
            if self.world.state(self.run).await.is_terminal() {
                return self.world.state(self.run).await;
            }
            self.world.clock.advance(LEASE + SECOND);
            self.world.cp.sweep_claims().await.unwrap();
            self.world.cp.sweep_runs().await.unwrap();
            self.claim_read().await;
            for _ in 0..BATCHES {
                self.stage_next().await;
            }
            self.take(&Step::ReadDone).await;
            self.uploads.clear();
            self.take(&Step::ClaimUpload).await;
            let before = self.sends.len();
            self.take(&Step::Permit(0)).await;
            if self.sends.len() > before {
                self.accept(before, 0).await;
            }
            for nth in 0..self.jobs.len() {
                self.world.clock.advance(10 * SECOND);
                self.confirm(nth, 0, 0).await;
            }
            self.look(&"a step of those who do as they should").await;
        }
        panic!("the run does not end");
    }
}

fn walk(engine: Engine, steps: &[Step]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut walk = Walk::new(engine).await;
        for step in steps {
            walk.take(step).await;
            walk.look(step).await;
        }
        let state = walk.see_through().await;
        let counts = walk.expected();
        match state {
            RunState::Succeeded => panic!("rows were rejected"),
            RunState::CompletedWithRejects => {
                assert_eq!((walk.staged.len(), counts.undelivered), (BATCHES as usize, 0));
            }
            RunState::Failed | RunState::Cancelled => {}
            RunState::Queued | RunState::Running | RunState::Cancelling => unreachable!(),
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn rows_add_up_after_every_step_and_a_run_that_is_left_alone_ends(
        steps in prop::collection::vec(step(), 1..90)
    ) {
        walk(Engine::Sqlite, &steps);
    }
}

proptest! {
    // The same statements; a step takes longer.
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    #[test]
    fn rows_add_up_on_postgres_too(steps in prop::collection::vec(step(), 1..90)) {
        walk(Engine::Postgres, &steps);
    }
}
