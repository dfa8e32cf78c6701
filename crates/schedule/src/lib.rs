//! When an export runs: recurrences in a time zone.
//!
//! Pure: no I/O and no clock, the caller says what time it is. The time zones are those that are
//! compiled in, whatever the machine has, so every instance computes the same.
//!
//! One rule covers the days on which the clock is changed: a time of day counts at the first
//! instant at which the local clock shows it *or a later time*.
//!
//! - A time that is skipped counts when the gap ends: 02:30 in Berlin on 2026-03-29 is 03:00,
//!   summer time. Several that end up at one instant are one occurrence.
//! - A time that comes twice counts once, the first time. That holds for `*/15 * * * *` too: it
//!   pauses while an hour is repeated.
//! - A day that is skipped is a long gap: 09:00 on 2011-12-30 in Apia is midnight, as the 31st
//!   begins, and 09:00 on the 31st comes after it.

mod cron;
mod error;
mod export;
mod form;
mod recurrence;
mod schedule;
mod time_of_day;
mod weekday;
mod words;
mod zone;

pub use cron::CronExpression;
pub use error::InvalidSchedule;
pub use export::ExportSchedule;
pub use recurrence::Recurrence;
pub use schedule::{Due, Schedule};
pub use time_of_day::{TimeOfDay, Times};
pub use weekday::{Days, Weekday};
pub use zone::Zone;
