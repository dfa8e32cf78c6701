//! The simulator seen from outside, over HTTP: each fact about Klaviyo that it has to be true to.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "in the helpers of tests a panic is the failure"
)]

mod access;
mod client;
mod collections;
mod faults;
mod imports;
mod lifecycle;
mod limits;
mod people;
mod readback;
