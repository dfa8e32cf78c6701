//! What is put comes back, or an error says why not.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "in the helpers of tests a panic is the failure"
)]

mod csv_report;
mod index;
mod record;
mod shared;
mod staging;

use segue_model::RunId;

fn run(n: u128) -> RunId {
    RunId::from_uuid(uuid::Uuid::from_u128(n))
}
