//! The crate from outside: by example, for any row, and against the page that people read.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests may")]

mod columns_page;
mod mapper;
mod properties;
