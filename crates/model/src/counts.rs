use serde::{Deserialize, Serialize};

/// What became of the rows of a run. Absolute numbers, never differences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Rows that the reader has seen, good or bad; the header of a file is not a row.
    pub rows_read: u64,
    /// Profiles that Klaviyo has imported, as it said itself when the import job was complete.
    pub delivered: u64,
    /// Rows that were not delivered and are reported with a reason, each exactly once.
    pub rejected: u64,
    /// Rows whose address an earlier row has.
    pub duplicates: u64,
    /// Rows that were left out because nothing changed since the last run (incremental exports).
    pub unchanged: u64,
    /// Rows of people who must not be sent.
    pub suppressed: u64,
    /// Rows that are neither delivered nor reported: pending while the run lives; failed, cancelled or
    /// unknown when it has ended.
    pub undelivered: u64,
    /// Fields that were left out although the person was sent. Not part of the sum.
    pub warnings: u64,
}

/// A run whose numbers do not add up: a bug in Segue, never in the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{rows_read} rows were read but {accounted} are accounted for")]
pub struct CountsError {
    pub rows_read: u64,
    pub accounted: u64,
}

impl Counts {
    /// The invariant that holds at all times.
    pub fn check(&self) -> Result<(), CountsError> {
        let accounted = self.delivered
            + self.rejected
            + self.duplicates
            + self.unchanged
            + self.suppressed
            + self.undelivered;
        if accounted == self.rows_read {
            Ok(())
        } else {
            Err(CountsError { rows_read: self.rows_read, accounted })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Counts;

    #[test]
    fn every_fate_counts_once() {
        let counts = Counts {
            rows_read: 111_111,
            delivered: 1,
            rejected: 10,
            duplicates: 100,
            unchanged: 1_000,
            suppressed: 10_000,
            undelivered: 100_000,
            warnings: 1_000_000,
        };
        assert_eq!(counts.check(), Ok(()));
    }

    #[test]
    fn a_row_that_is_nowhere_breaks_the_sum() {
        let mut counts =
            Counts { rows_read: 5, delivered: 2, rejected: 1, duplicates: 1, ..Counts::default() };
        assert_eq!(counts.check().unwrap_err().accounted, 4);
        counts.undelivered = 1;
        assert_eq!(counts.check(), Ok(()));
    }
}
