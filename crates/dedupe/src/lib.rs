//! Has this identity been seen before? Exact, in bounded memory, and answered at once for every row.
//!
//! [`Dedupe`] keeps identities as 128-bit fingerprints, never less: a false duplicate is a person who
//! silently gets no mail. At 128 bits and a billion identities the odds of one are 1 in 10²⁰.
//!
//! # How it works
//!
//! ```text
//!            ┌───────────────┐ full: written out in order  ┌────────┬────────┬────────┐ 8 of a level
//! see() ───▶ │ table, memory │ ──────────────────────────▶ │ file   │ file   │ file … │ ─────────────▶ one file
//!            └───────────────┘                             └────────┴────────┴────────┘    merged
//!                                                             ▲ asked only if
//!                                                   ┌─────────┴─────┐
//!                                                   │ Bloom filter  │ says that it may be there
//!                                                   └───────────────┘
//! ```
//!
//! - The table is open-addressing, and *ordered*: where an entry belongs follows from its high bits, and
//!   neighbours stand in ascending order. So a full table is already sorted, a file is written and merged
//!   in one pass, and a lookup in a file is one read at a computed place.
//! - A new identity, which is the common case, touches no disk unless the filter errs. A duplicate of an
//!   identity that was written out reads 576 bytes from each file it may be in.
//!
//! # Memory and disk
//!
//! The filter has a quarter of the memory. It errs for 1 in 100 new identities at 6 bytes of memory an
//! identity, for 1 in 10 at 3. With still less the answers stay exact, but every new identity reads up to
//! seven files a level: a hundred million in 64 MiB take more than 6 µs each, in place of 0.2. On disk an
//! identity takes 32 bytes, twice that while files are merged.
//!
//! **Invariant:** no async, no clock, no logging; the same calls give the same answers on any machine and
//! with any amount of memory.

mod dedupe;
mod error;
mod filter;
mod fingerprint;
mod frozen;
mod merge;
mod scratch;
mod table;

pub use dedupe::{Dedupe, MIN_MEMORY, Seen, Stats};
pub use error::DedupeError;
pub use fingerprint::{Fingerprint, fingerprint};
