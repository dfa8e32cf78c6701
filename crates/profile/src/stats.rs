use segue_model::Field;
use serde::{Deserialize, Serialize};

/// How one mapped field fared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldCount {
    pub field: Field,
    /// Cells that held something.
    pub non_empty: u64,
    /// Of those, cells that were left out with a warning.
    pub left_out: u64,
}

impl FieldCount {
    /// Whether more than a tenth of the cells that held something were left out.
    pub fn is_lossy(&self) -> bool {
        self.left_out.saturating_mul(10) > self.non_empty
    }
}

/// Counts for each mapped field, over the rows that a mapper has seen, rejected ones included.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FieldStats(Vec<FieldCount>);

impl FieldStats {
    pub(crate) fn new(fields: impl Iterator<Item = FieldCount>) -> Self {
        Self(fields.collect())
    }

    /// In the order of the mapping.
    pub fn fields(&self) -> &[FieldCount] {
        &self.0
    }

    /// The fields that a summary must name: see [`FieldCount::is_lossy`].
    pub fn lossy(&self) -> impl Iterator<Item = &FieldCount> {
        self.0.iter().filter(|field| field.is_lossy())
    }

    /// Adds the counts of other rows. Fields are matched by name, so two files may differ.
    pub fn merge(&mut self, other: &Self) {
        for count in &other.0 {
            match self.0.iter_mut().find(|mine| mine.field == count.field) {
                Some(mine) => {
                    mine.non_empty += count.non_empty;
                    mine.left_out += count.left_out;
                }
                None => self.0.push(count.clone()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{FieldCount, FieldStats};

    fn stats(counts: &[(&str, u64, u64)]) -> FieldStats {
        FieldStats::new(counts.iter().map(|&(field, non_empty, left_out)| FieldCount {
            field: field.to_owned(),
            non_empty,
            left_out,
        }))
    }

    #[test]
    fn merged_counts_are_the_counts_of_all_rows() {
        let mut all = stats(&[("email", 5, 0), ("phone_number", 4, 1)]);
        all.merge(&stats(&[("phone_number", 6, 1), ("title", 1, 0)]));
        assert_eq!(all, stats(&[("email", 5, 0), ("phone_number", 10, 2), ("title", 1, 0)]));
    }

    #[test]
    fn a_field_is_lossy_above_a_tenth_of_its_non_empty_cells() {
        let counts = stats(&[("a", 10, 1), ("b", 10, 2), ("c", 0, 0)]);
        assert_eq!(counts.lossy().map(|count| count.field.as_str()).collect::<Vec<_>>(), ["b"]);
    }
}
