//! End-to-end tests of Segue.
