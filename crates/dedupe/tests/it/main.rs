//! The answers, whatever the memory.
#![expect(clippy::expect_used, reason = "in the helpers of tests a panic is the failure")]

mod model;
mod scratch;
