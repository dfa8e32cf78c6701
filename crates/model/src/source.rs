//! What is known of the files of a segment: how old they are, and whose rows are whose.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Micros;

/// One segment of a run, as its first reading found it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentSource {
    /// The file or glob, as the export has it.
    pub name: String,
    /// How many objects of the manifest are its: those behind the objects of the segments before it.
    pub objects: u32,
    /// When the youngest of them was last modified, by the clock of its file system.
    pub modified: Option<Micros>,
}

/// Since when the source of a run is as it is. Of each segment its youngest object counts, because a glob finds
/// old files beside the new one; of several segments the oldest, because one that was not delivered is one too
/// many. `None`: nobody has said so of each.
pub fn source_modified(segments: &[SegmentSource]) -> Option<Micros> {
    let each: Option<Vec<Micros>> = segments.iter().map(|segment| segment.modified).collect();
    each?.into_iter().min()
}

/// How old the source of a scheduled run may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Freshness {
    pub max_source_age: Duration,
    /// How long a run whose source is older waits for a younger one.
    pub wait: Duration,
}

/// What became of the rows of one object, or of one segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RowCounts {
    pub rows: u64,
    pub duplicates: u64,
    pub rejected: u64,
}

impl RowCounts {
    /// Saturates: the numbers may be somebody else's.
    pub fn add(&mut self, more: Self) {
        self.rows = self.rows.saturating_add(more.rows);
        self.duplicates = self.duplicates.saturating_add(more.duplicates);
        self.rejected = self.rejected.saturating_add(more.rejected);
    }

    /// What is left when `part` is taken away. It is less by nothing that it has not.
    #[must_use]
    pub fn without(self, part: Self) -> Self {
        Self {
            rows: self.rows.saturating_sub(part.rows),
            duplicates: self.duplicates.saturating_sub(part.duplicates),
            rejected: self.rejected.saturating_sub(part.rejected),
        }
    }
}

/// The numbers of objects as numbers of their segments, by number of the segment. `None`: an object is of no
/// segment, so whoever counted counted something else.
pub fn by_segment(
    segments: &[SegmentSource],
    objects: impl IntoIterator<Item = (u32, RowCounts)>,
) -> Option<Vec<(u32, RowCounts)>> {
    let mut counted: Vec<(u32, RowCounts)> = Vec::new();
    for (object, counts) in objects {
        let segment = segment_of(segments, object)?;
        match counted.iter_mut().find(|(known, _)| *known == segment) {
            Some((_, sum)) => sum.add(counts),
            None => counted.push((segment, counts)),
        }
    }
    Some(counted)
}

fn segment_of(segments: &[SegmentSource], object: u32) -> Option<u32> {
    let mut first = 0_u32;
    for (nth, segment) in (0..).zip(segments) {
        let behind = first.checked_add(segment.objects)?;
        if object < behind {
            return Some(nth);
        }
        first = behind;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{RowCounts, SegmentSource, by_segment, source_modified};
    use crate::Micros;

    fn segment(objects: u32, modified: Option<i64>) -> SegmentSource {
        SegmentSource { name: "a".to_owned(), objects, modified: modified.map(Micros) }
    }

    #[test]
    fn of_several_segments_the_oldest_says_how_old_the_source_is() {
        let of = |times: &[Option<i64>]| {
            let segments: Vec<_> = times.iter().map(|time| segment(1, *time)).collect();
            source_modified(&segments).map(|at| at.0)
        };
        assert_eq!(of(&[Some(5)]), Some(5));
        assert_eq!(of(&[Some(5), Some(3), Some(9)]), Some(3));
        assert_eq!(of(&[Some(5), None]), None);
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn what_is_taken_away_leaves_the_rest_and_never_less_than_nothing() {
        let all = RowCounts { rows: 10, duplicates: 3, rejected: 2 };
        let part = RowCounts { rows: 4, duplicates: 1, rejected: 5 };
        assert_eq!(all.without(part), RowCounts { rows: 6, duplicates: 2, rejected: 0 });
    }

    #[test]
    fn objects_are_of_the_segments_that_named_them() {
        let segments = [segment(2, None), segment(0, None), segment(1, None)];
        let one = |rows| RowCounts { rows, duplicates: 1, rejected: 2 };
        let counted = by_segment(&segments, [(0, one(10)), (2, one(5)), (1, one(1))]).unwrap();
        let first = RowCounts { rows: 11, duplicates: 2, rejected: 4 };
        assert_eq!(counted, [(0, first), (2, one(5))]);
        assert_eq!(by_segment(&segments, [(0, one(1)), (3, one(1))]), None);
    }
}
