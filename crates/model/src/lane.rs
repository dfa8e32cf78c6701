use std::time::Duration;

use crate::{Limits, Micros, backoff};

/// The pace of one endpoint of one Klaviyo account.
///
/// Klaviyo counts requests in fixed windows of one second and of one minute whose phase nobody but
/// Klaviyo knows. A permit therefore holds a place until one second (one minute) after its answer was
/// recorded: of any 11 requests under a limit of 10, one was *answered* at least a second before
/// the last was *granted*, so no window of one second, whatever its phase, sees all 11 arrive. No
/// margin, no clock in common with Klaviyo and no guess is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lane {
    /// What Klaviyo publishes for the endpoint.
    pub limits: Limits,
    /// How many of `limits.burst` are used: fewer after a 429 that was not our doing.
    pub burst: u32,
    /// Nothing is granted before: set by a 429.
    pub closed_until: Micros,
    /// Answers of 429 since the last other answer.
    pub throttled: u32,
    /// When `burst` may grow by one again.
    pub grow_at: Micros,
    /// Requests since the last good answer that failed for no fault of theirs.
    pub failed: u32,
}

/// A place that a permit holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// When the answer was recorded, `None` while the request may still arrive.
    pub answered: Option<Micros>,
}

/// Whether a request may be made now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    Now,
    /// Ask again then. `None`: every place is held by a request without an answer, so ask again when
    /// one was recorded.
    Wait(Option<Micros>),
}

/// After as many failures in a row a lane takes one request at a time.
const TROUBLE: u32 = 5;
/// After a 429 the burst grows again by one place in this time.
const GROWTH: Duration = Duration::from_secs(10);

impl Lane {
    /// A `Retry-After` beyond this is absurd for windows of at most a minute.
    pub const LONGEST_RETRY_AFTER: Duration = Duration::from_mins(15);

    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            burst: limits.burst,
            closed_until: Micros(0),
            throttled: 0,
            grow_at: Micros(0),
            failed: 0,
        }
    }

    /// Decides over one request at `now`, given the places that are held. Places that were given back
    /// may be among `held`, they do not count.
    pub fn grant(&self, now: Micros, held: &[Held]) -> Grant {
        if now < self.closed_until {
            return Grant::Wait(Some(self.closed_until));
        }
        // Klaviyo is in trouble: one request at a time finds out when it is over.
        if self.failed >= TROUBLE && held.iter().any(|place| place.answered.is_none()) {
            return Grant::Wait(None);
        }
        let burst = free_at(now, held, self.burst, Limits::BURST_WINDOW);
        let steady = free_at(now, held, self.limits.steady, Limits::STEADY_WINDOW);
        match (burst, steady) {
            (Place::Free, Place::Free) => Grant::Now,
            (Place::At(a), Place::At(b)) => Grant::Wait(Some(a.max(b))),
            (Place::At(at), Place::Free) | (Place::Free, Place::At(at)) => Grant::Wait(Some(at)),
            (Place::Unanswered, _) | (_, Place::Unanswered) => Grant::Wait(None),
        }
    }

    /// Klaviyo answered 429. `retry_after`: what it asked for, if it was a sane number.
    pub fn throttle(&mut self, now: Micros, retry_after: Option<Duration>) {
        self.throttled = self.throttled.saturating_add(1);
        let asked =
            retry_after.filter(|wait| !wait.is_zero() && *wait <= Self::LONGEST_RETRY_AFTER);
        let wait = asked.unwrap_or_else(|| backoff::ceiling(self.throttled));
        self.closed_until = self.closed_until.max(now + wait);
        // Our own count was legal, `grant` sees to that: somebody else uses the account.
        self.burst = (self.burst / 2).max(1);
        self.grow_at = self.closed_until + GROWTH;
    }

    /// Klaviyo could not work, or did not answer.
    pub fn trouble(&mut self) {
        self.failed = self.failed.saturating_add(1);
    }

    /// Klaviyo answered as it should. Returns whether the lane has changed.
    pub fn relax(&mut self, now: Micros) -> bool {
        let before = *self;
        self.throttled = 0;
        self.failed = 0;
        if self.burst < self.limits.burst && now >= self.grow_at {
            self.burst += 1;
            self.grow_at = now + GROWTH;
        }
        *self != before
    }
}

enum Place {
    Free,
    At(Micros),
    Unanswered,
}

/// When fewer than `places` are held for `window` after their answer.
fn free_at(now: Micros, held: &[Held], places: u32, window: Duration) -> Place {
    let mut unanswered = 0_usize;
    let mut until: Vec<Micros> = Vec::with_capacity(held.len());
    for place in held {
        match place.answered {
            None => unanswered += 1,
            Some(at) if at + window > now => until.push(at + window),
            Some(_) => {}
        }
    }
    let places = places as usize;
    let taken = unanswered + until.len();
    if taken < places {
        return Place::Free;
    }
    // One more than the surplus has to be given back before the next may go.
    let wanted = taken - places + 1;
    if wanted > until.len() {
        return Place::Unanswered;
    }
    let (_, at, _) = until.select_nth_unstable(wanted - 1);
    Place::At(*at)
}

#[cfg(test)]
mod tests;
