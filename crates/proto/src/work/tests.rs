//! Whatever the model can say comes through the contract as it was.

use std::time::Duration;

use proptest::{collection, option, prelude::*, sample};
use segue_model::{
    BatchNo, ContentHash, FailReason, Id, Kind, Micros, RejectReason, RowCounts, SegmentSource,
    UndeliveredReason,
    work::{
        Acceptance, Answer, Child, Claimed, ConfirmWork, Confirmation, Credentials, Job, JobKind,
        Kept, KnownBatch, Next, PermitReply, ReadWork, Rejects, Slots, Spent, StagedBatch,
        UploadWork, Verdict, WantedJob, Work,
    },
};
use uuid::Uuid;

use crate::v1::{self, answer_request, finish_request};

fn id<K: Kind + 'static>() -> impl Strategy<Value = Id<K>> {
    any::<u128>().prop_map(|n| Id::from_uuid(Uuid::from_u128(n)))
}

fn text() -> impl Strategy<Value = String> {
    "\\PC{1,12}"
}

fn wait() -> impl Strategy<Value = Duration> {
    (0..u64::from(u32::MAX), 0..1_000_000_000_u32).prop_map(|(s, n)| Duration::new(s, n))
}

fn rejects() -> impl Strategy<Value = Rejects> {
    let reason = sample::select(RejectReason::ALL);
    let by_object = collection::btree_map(any::<u32>(), any::<u64>(), 0..3);
    (collection::btree_map(reason, any::<u64>(), 0..4), option::of(text()), by_object)
        .prop_map(|(by_reason, report, by_object)| Rejects { by_reason, report, by_object })
}

/// Times that a clock can show: the contract's go as far as the year 9999.
fn time() -> impl Strategy<Value = Micros> {
    (-62_135_596_800_000_000..253_402_300_800_000_000_i64).prop_map(Micros)
}

fn segments() -> impl Strategy<Value = Vec<SegmentSource>> {
    let segment = (text(), any::<u32>(), option::of(time()))
        .prop_map(|(name, objects, modified)| SegmentSource { name, objects, modified });
    collection::vec(segment, 0..3)
}

fn row_counts() -> impl Strategy<Value = RowCounts> {
    any::<[u64; 3]>().prop_map(|[rows, duplicates, rejected]| RowCounts {
        rows,
        duplicates,
        rejected,
    })
}

fn hash() -> impl Strategy<Value = ContentHash> {
    any::<u128>().prop_map(ContentHash)
}

fn batch() -> impl Strategy<Value = BatchNo> {
    any::<u32>().prop_map(BatchNo)
}

fn credentials() -> impl Strategy<Value = Credentials> {
    (text(), text()).prop_map(|(account_id, key)| Credentials { account_id, key: key.into() })
}

fn wanted() -> impl Strategy<Value = WantedJob> {
    (id(), batch(), text(), hash(), any::<u64>(), time()).prop_map(
        |(run, batch, klaviyo_job, hash, sent, accepted)| WantedJob {
            run,
            batch,
            klaviyo_job,
            hash,
            sent,
            accepted,
        },
    )
}

fn read() -> impl Strategy<Value = ReadWork> {
    let known = (hash(), any::<bool>(), any::<bool>()).prop_map(|(hash, body, index)| KnownBatch {
        hash,
        needs_body: body,
        needs_index: index,
    });
    let known = collection::btree_map(batch(), known, 0..4);
    let columns = option::of("[a-z]{1,9}");
    (id(), text(), text(), credentials(), known, columns, option::of(time())).prop_map(
        |(run, list_id, plan, credentials, known, columns, source_not_before)| ReadWork {
            run,
            list_id,
            plan,
            credentials,
            known,
            columns,
            source_not_before,
        },
    )
}

fn upload() -> impl Strategy<Value = UploadWork> {
    (id(), batch(), hash(), any::<u64>(), credentials(), text(), any::<u64>()).prop_map(
        |(run, batch, hash, profiles, credentials, list_id, splits_left)| UploadWork {
            run,
            batch,
            hash,
            profiles,
            credentials,
            list_id,
            splits_left,
        },
    )
}

fn claimed() -> impl Strategy<Value = Claimed> {
    let confirm = (credentials(), collection::vec(wanted(), 0..3))
        .prop_map(|(credentials, wanted)| ConfirmWork { credentials, wanted });
    let work = prop_oneof![
        read().prop_map(Work::Read),
        upload().prop_map(Work::Upload),
        confirm.prop_map(Work::Confirm),
    ];
    (id(), work).prop_map(|(claim, work)| Claimed { claim, work })
}

fn staged() -> impl Strategy<Value = StagedBatch> {
    let numbers = any::<[u64; 5]>();
    let objects = collection::btree_map(any::<u32>(), row_counts(), 0..3);
    (batch(), hash(), numbers, rejects(), option::of(text()), objects).prop_map(
        |(batch, hash, [profiles, bytes, rows, duplicates, warnings], rejects, report, objects)| {
            StagedBatch {
                batch,
                hash,
                profiles,
                bytes,
                rows,
                duplicates,
                rejects,
                warnings,
                warnings_report: report,
                objects,
            }
        },
    )
}

fn answer() -> impl Strategy<Value = Answer> {
    let accepted = (text(), any::<u64>(), any::<u64>(), rejects())
        .prop_map(|(klaviyo_job, sent, bytes, refused)| Acceptance {
            klaviyo_job,
            sent,
            bytes,
            refused,
        })
        .prop_map(Answer::Accepted);
    prop_oneof![
        accepted,
        Just(Answer::Fine),
        option::of(wait()).prop_map(|retry_after| Answer::Throttled { retry_after }),
        any::<u16>().prop_map(|status| Answer::NotApplied { status }),
        Just(Answer::Ambiguous),
        Just(Answer::NotSent),
    ]
}

fn child() -> impl Strategy<Value = Child> {
    (hash(), any::<u64>(), any::<u64>()).prop_map(|(hash, profiles, bytes)| Child {
        hash,
        profiles,
        bytes,
    })
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        text().prop_map(|summary| Verdict::ReadDone { summary }),
        rejects().prop_map(Verdict::AllRefused),
        (child(), child(), rejects())
            .prop_map(|(a, b, refused)| Verdict::Split { children: [a, b], refused }),
        Just(Verdict::Retry),
        wait().prop_map(|after| Verdict::Deferred { after }),
        any::<bool>().prop_map(|progress| Verdict::Passed { progress }),
        sample::select(UndeliveredReason::ALL).prop_map(Verdict::GiveUp),
        segments().prop_map(|segments| Verdict::Stale { segments }),
        (sample::select(FailReason::ALL), text())
            .prop_map(|(reason, detail)| Verdict::FailRun { reason, detail }),
    ]
}

fn confirmation() -> impl Strategy<Value = Confirmation> {
    let reason = sample::select(UndeliveredReason::ALL);
    (id(), batch(), text(), rejects(), any::<u64>(), reason).prop_map(
        |(run, batch, klaviyo_job, rejects, undelivered, undelivered_reason)| Confirmation {
            run,
            batch,
            klaviyo_job,
            rejects,
            undelivered,
            undelivered_reason,
        },
    )
}

fn permit() -> impl Strategy<Value = PermitReply> {
    prop_oneof![
        id().prop_map(PermitReply::Granted),
        wait().prop_map(PermitReply::Later),
        Just(PermitReply::Stop),
    ]
}

fn job() -> impl Strategy<Value = Job> {
    (id(), any::<u32>(), sample::select(JobKind::ALL), option::of(id()))
        .prop_map(|(id, attempt, kind, run)| Job { id, attempt, kind, run, trace: None })
}

fn hashes() -> impl Strategy<Value = Vec<ContentHash>> {
    collection::vec(hash(), 0..4)
}

fn names() -> impl Strategy<Value = Vec<String>> {
    collection::vec(text(), 0..4)
}

proptest! {
    #[test]
    fn what_a_claim_returns_comes_through(claimed in claimed()) {
        // The model does not compare secrets, the contract does.
        let printed = format!("{claimed:?}");
        let wire = v1::ClaimedJob::from(claimed);
        let back = Claimed::try_from(wire.clone()).unwrap();
        prop_assert_eq!(format!("{back:?}"), printed);
        prop_assert_eq!(v1::ClaimedJob::from(back), wire);
    }

    #[test]
    fn staged_batches_come_through(staged in staged()) {
        prop_assert_eq!(StagedBatch::try_from(v1::StagedBatch::from(&staged)).unwrap(), staged);
    }

    #[test]
    fn permits_come_through(reply in permit()) {
        let wire = v1::PermitResponse::from(reply.clone());
        prop_assert_eq!(PermitReply::try_from(wire).unwrap(), reply);
    }

    #[test]
    fn answers_come_through(answer in answer()) {
        let wire = answer_request::Answer::from(&answer);
        prop_assert_eq!(Answer::try_from(wire).unwrap(), answer);
    }

    #[test]
    fn verdicts_come_through(verdict in verdict()) {
        let wire = finish_request::Verdict::from(&verdict);
        prop_assert_eq!(Verdict::try_from(wire).unwrap(), verdict);
    }

    #[test]
    fn confirmations_come_through(confirmed in confirmation()) {
        let wire = v1::Confirmation::from(&confirmed);
        prop_assert_eq!(Confirmation::try_from(wire).unwrap(), confirmed);
    }

    #[test]
    fn what_is_kept_and_what_is_spent_comes_through(
        (run, batches, reports, age) in (id(), hashes(), names(), wait())
    ) {
        let spent = Spent { run, batches: batches.clone(), reports: reports.clone() };
        let wire = v1::SpentObjects::from(spent.clone());
        prop_assert_eq!(Spent::try_from(wire).unwrap(), spent);
        let kept = Kept { run, batches, reports, age };
        prop_assert_eq!(Kept::try_from(v1::KeptObjects::from(&kept)).unwrap(), kept);
    }

    #[test]
    fn jobs_and_slots_come_through(job in job(), read in 0..9_u32, upload in 0..9_u32) {
        prop_assert_eq!(Job::try_from(v1::Job::from(&job)).unwrap(), job);
        let slots = Slots { read, upload, confirm: 1, look: 3 };
        prop_assert_eq!(super::counted(&super::slots(slots)), slots);
    }
}

#[test]
fn what_comes_next_comes_through() {
    for next in [Next::GoOn, Next::Stop] {
        assert_eq!(Option::<Next>::try_from(v1::Next::from(next)), Ok(Some(next)));
    }
    assert_eq!(Option::<Next>::try_from(v1::Next::Later), Ok(None));
    assert_eq!(Option::<Next>::try_from(v1::Next::Unspecified).unwrap_err().field, "next");
}

#[test]
fn error_names_the_field_from_the_outside_in() {
    let rejects =
        v1::Rejects { by_reason: [("no_such_reason".to_owned(), 1)].into(), ..Default::default() };
    let accepted = v1::Acceptance { refused: Some(rejects), ..v1::Acceptance::default() };
    let err = Answer::try_from(answer_request::Answer::Accepted(accepted)).unwrap_err();
    assert_eq!(err.field, "accepted.refused.by_reason");
    let upload = v1::UploadWork {
        run_id: "run_00000000-0000-0000-0000-000000000001".into(),
        batch: u64::MAX,
        ..v1::UploadWork::default()
    };
    let claimed = v1::ClaimedJob {
        claim_id: "clm_00000000-0000-0000-0000-000000000001".into(),
        work: Some(v1::claimed_job::Work::Upload(upload)),
    };
    assert_eq!(Claimed::try_from(claimed).unwrap_err().field, "upload.batch");
    let foreign = v1::Job { schema: 7, ..v1::Job::default() };
    assert_eq!(Job::try_from(foreign).unwrap_err().field, "schema");
}
