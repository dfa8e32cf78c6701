//! When an export runs: recurrences in a time zone.
