use segue_model::look::{Preview, PreviewedReject, Sums};
use segue_proto::v1;

use super::columns::sent;
use crate::{NewProfiles, Previewed};

/// What a run would send.
pub(super) fn preview_message(previewed: Previewed) -> v1::PreviewExportResponse {
    let Previewed { mapping, preview, least_seconds, new, stopped_by } = previewed;
    // Destructured, so that a field that is added cannot be forgotten.
    let Preview {
        mapping: _,
        sums,
        first,
        first_rejects,
        drawn: _,
        complete,
        bytes_read,
        source_bytes,
    } = preview;
    let Sums { rows, profiles, batches, bytes, duplicates, warnings, rejects } = sums;
    let rejects = rejects.into_iter().map(|(reason, n)| (reason.to_string(), n));
    v1::PreviewExportResponse {
        columns: sent(&mapping),
        not_sent: mapping.unsent().to_vec(),
        first_profiles: first,
        first_rejects: first_rejects.into_iter().map(reject).collect(),
        rows,
        profiles,
        duplicates,
        warnings,
        rejects_by_reason: rejects.collect(),
        batches,
        body_bytes: bytes,
        least_seconds,
        complete,
        bytes_read,
        source_bytes,
        new_profiles: Some(new_profiles(new)),
        stopped_by: stopped_by.unwrap_or_default(),
    }
}

fn reject(reject: PreviewedReject) -> v1::PreviewedReject {
    let PreviewedReject { file, row, identifier, field, reason, detail } = reject;
    v1::PreviewedReject { file, row, identifier, field, reason: reason.to_string(), detail }
}

fn new_profiles(new: NewProfiles) -> v1::NewProfiles {
    match new {
        NewProfiles::Estimated { asked, known, new } => {
            v1::NewProfiles { known, asked, low: new.low, high: new.high, problem: String::new() }
        }
        NewProfiles::Unknown(problem) => v1::NewProfiles { problem, ..v1::NewProfiles::default() },
    }
}
