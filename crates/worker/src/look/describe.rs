use segue_model::{
    Cell,
    look::{DescribedColumn, DescribedObject, Description},
};
use segue_profile::{MapOptions, Mapping};
use segue_source::{Compression, Format, Object, Segment};

use super::LookError;
use crate::{
    error::words,
    read::{infer_mapping, sample_of},
};

/// What columns a segment has and what would become of them by default. Blocking.
pub(super) fn describe(segment: &Segment) -> Result<Description, LookError> {
    let mut counts: Vec<(u64, u64)> = Vec::new();
    let (columns, sample) = sample_of(segment, |row, columns| {
        counts.resize(columns, (0, 0));
        for (column, (filled, longest)) in counts.iter_mut().enumerate() {
            let chars = match row.cell(column) {
                Cell::Empty => continue,
                Cell::Text(text) | Cell::Number(text) | Cell::Json(text) => text.chars().count(),
                Cell::Bool(value) => {
                    if value {
                        4
                    } else {
                        5
                    }
                }
            };
            *filled += u64::from(chars > 0);
            *longest = (*longest).max(chars as u64);
        }
    })?;
    counts.resize(columns.len(), (0, 0));
    let (mapping, problem) = match infer_mapping(segment, &MapOptions::default()) {
        Ok(mapping) => (Some(mapping), None),
        Err(err) => (None, Some(words(&err))),
    };
    let attribute = |name: &str| {
        let entry = mapping.iter().flat_map(Mapping::entries).find(|it| it.column() == name);
        entry.map(|it| it.target().to_string()).unwrap_or_default()
    };
    let columns = columns.iter().zip(counts).enumerate().map(|(n, (name, (filled, longest)))| {
        let kind = sample.kind(n).name().to_owned();
        DescribedColumn { name: name.clone(), kind, filled, longest, attribute: attribute(name) }
    });
    Ok(Description {
        columns: columns.collect(),
        objects: segment.objects().iter().map(object).collect(),
        sampled_rows: sample.rows() as u64,
        problem,
    })
}

fn object(object: &Object) -> DescribedObject {
    DescribedObject {
        name: object.name().to_owned(),
        format: match object.format() {
            Format::Csv { .. } => "csv".to_owned(),
            Format::Ndjson => "ndjson".to_owned(),
        },
        compression: match object.compression() {
            Compression::None => String::new(),
            Compression::Gzip => "gzip".to_owned(),
            Compression::Zstd => "zstd".to_owned(),
        },
        size: object.size_bytes(),
    }
}
