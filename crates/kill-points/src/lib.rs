//! Places where a test may kill the process: before and after whatever must not be lost or done twice.
//!
//! They do something only in a build with the feature `armed`, which nothing but the tests turns on, and only
//! where `FAILPOINTS` names them: `FAILPOINTS='worker.claimed=2*off->return'` kills the process the third time
//! that it comes by.

/// The process may die here, as `kill -9` would have it: nothing is unwound, nothing is flushed. A name says who
/// it is and what has just been done, or is about to be.
#[inline]
pub fn at(name: &'static str) {
    #[cfg(feature = "armed")]
    fail::fail_point!(name, |_| {
        eprintln!("killed at {name}");
        std::process::abort()
    });
    #[cfg(not(feature = "armed"))]
    let _ = name;
}

/// Reads `FAILPOINTS`; kill points are armed as long as what it returns lives.
#[cfg(feature = "armed")]
#[must_use]
pub fn arm() -> impl Sized {
    fail::FailScenario::setup()
}

/// There are no kill points in this build.
#[cfg(not(feature = "armed"))]
#[must_use]
pub fn arm() -> impl Sized {}
