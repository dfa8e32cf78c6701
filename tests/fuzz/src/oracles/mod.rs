//! What must hold whatever comes in: one function for each way in, which panics if it does not.
//!
//! The fuzzer calls them (`tests/fuzz`), and so do the tests, with the kept corpus and changes of it.

mod answers;
mod archives;
mod mapping;
mod messages;
mod rows;

pub use answers::answers;
pub use archives::archives;
pub use mapping::mapping;
pub use messages::messages;
pub use rows::{csv, ndjson};

/// Panics if something does not hold.
pub type Oracle = fn(&[u8]);

/// By the names of their folders in the corpus.
pub const ALL: [(&str, Oracle); 6] = [
    ("csv", csv),
    ("ndjson", ndjson),
    ("mapping", mapping),
    ("messages", messages),
    ("answers", answers),
    ("archives", archives),
];
