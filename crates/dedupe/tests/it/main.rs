//! The answers, whatever the memory.

mod model;
mod scratch;
