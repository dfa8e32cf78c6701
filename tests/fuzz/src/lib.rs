//! The way from the targets to the oracles, which the tests of Segue share.

pub mod oracles;
