//! What an account knows about people.

mod id;
mod index;
pub(crate) mod merge;
pub(crate) mod render;
mod store;
mod text;

pub(crate) use store::{Identity, Number, Profiles, Resolution};
