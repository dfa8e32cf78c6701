//! End-to-end tests of Segue, and what they share: a harness that starts it as a user would.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "in the helpers of tests a panic is the failure"
)]
#![allow(clippy::missing_panics_doc, reason = "see above")]
#![allow(clippy::return_self_not_must_use, reason = "what a test builds and forgets, it sees")]
#![allow(clippy::len_without_is_empty, reason = "people are many")]

pub mod chaos;
pub mod harness;
