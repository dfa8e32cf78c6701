//! Segue as a user meets it: the binary, started with arguments, against a Klaviyo that runs here.
//!
//! Nothing of Segue's own is used to judge it: people, reports and lists are read by code of the harness.

mod client;
mod csv;
mod export;
mod judge;
mod people;
mod python;
mod report;
mod services;
mod sim;
pub mod workers;

use std::{
    thread,
    time::{Duration, Instant},
};

pub use client::Client;
pub use csv::{Reject, WarningLine, table};
pub use export::{Ended, Export, Running, segue};
pub use judge::Judge;
pub use people::{Fate, People};
pub use python::python;
pub use report::Report;
pub use services::{Services, Shape, free_address};
pub use sim::{LIST, OTHER_LIST, Sim, account, free, limited, rate};

/// Far longer than anything here takes: only a test that would never end meets it.
pub const DEADLINE: Duration = Duration::from_mins(3);

/// Waits until `condition` gives something; panics with `what` if it never does.
pub fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(begin.elapsed() < DEADLINE, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}
