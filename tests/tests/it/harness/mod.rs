//! Segue as a user meets it: the binary, started with arguments, against a Klaviyo that runs here.
//!
//! Nothing of Segue's own is used to judge it: people, reports and lists are read by code of the harness.

mod csv;
mod export;
mod judge;
mod people;
mod python;
mod report;
mod services;
mod sim;
pub(crate) mod workers;

use std::{
    thread,
    time::{Duration, Instant},
};

pub(crate) use csv::{Reject, WarningLine, table};
pub(crate) use export::{Ended, Export, Running, segue};
pub(crate) use judge::Judge;
pub(crate) use people::{Fate, People};
pub(crate) use python::python;
pub(crate) use report::Report;
pub(crate) use services::{Services, Shape};
pub(crate) use sim::{LIST, OTHER_LIST, Sim, account, free, limited, rate};

/// Far longer than anything here takes: only a test that would never end meets it.
pub(crate) const DEADLINE: Duration = Duration::from_mins(3);

/// Waits until `condition` gives something; panics with `what` if it never does.
pub(crate) fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(begin.elapsed() < DEADLINE, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}
