//! The contracts of the ports, written once; every adapter runs them: `queue_conformance!(make())`, where
//! `make()` is a future of an adapter and of another future that cleans up behind it.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "these are the bodies of tests")]

pub mod commands;
pub mod events;
pub mod jobs;

use std::{panic::resume_unwind, time::Duration};

/// Long enough for a message that was there to arrive.
const SOON: Duration = Duration::from_millis(200);
/// Far longer than anything takes: a wake-up that is lost would wait for ever.
const LATE: Duration = Duration::from_mins(1);

/// Runs a case and cleans up, however the case ended.
pub async fn run<A>(
    make: impl Future<Output = (A, impl Future<Output = ()>)>,
    case: impl AsyncFnOnce(A),
) {
    let (adapter, clean_up) = make.await;
    let case = std::panic::AssertUnwindSafe(case(adapter));
    let outcome = futures::FutureExt::catch_unwind(case).await;
    clean_up.await;
    if let Err(panic) = outcome {
        resume_unwind(panic);
    }
}

/// One named test for each case.
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_cases {
    ($module:ident, $make:expr => $($case:ident,)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            $crate::conformance::run($make, $crate::conformance::$module::$case).await;
        })*
    };
}

/// The contract of [`crate::Queue`] and of [`crate::DeadJobs`].
#[macro_export]
macro_rules! queue_conformance {
    ($make:expr) => {
        $crate::conformance_cases! { jobs, $make =>
            published_job_is_received_by_its_kind_only,
            job_arrives_as_it_was_published,
            acknowledged_job_is_gone,
            dropped_receipt_delivers_again,
            dropped_receipt_delivers_again_however_often,
            dropped_receive_loses_nothing,
            every_job_goes_to_one_receiver,
            nothing_is_lost_in_a_crowd,
            living_jobs_are_not_among_the_dead,
        }
    };
}

/// The contract of [`crate::Events`].
#[macro_export]
macro_rules! events_conformance {
    ($make:expr) => {
        $crate::conformance_cases! { events, $make =>
            event_reaches_every_subscriber_in_order,
            event_without_subscribers_is_published,
            event_before_the_subscription_is_not_heard,
        }
    };
}

/// The contract of [`crate::Commands`].
#[macro_export]
macro_rules! commands_conformance {
    ($make:expr) => {
        $crate::conformance_cases! { commands, $make =>
            command_arrives_with_its_trace,
            acknowledged_command_is_gone,
            dropped_command_is_delivered_again,
            rejected_command_is_put_aside,
            message_that_is_no_command_is_received_as_such,
        }
    };
}
