use segue_model::look::{Preview, PreviewedReject};
use segue_profile::Mapping;
use segue_proto::v1;

use super::columns::sent;
use crate::{NewProfiles, Previewed};

/// What a run would send.
pub(super) fn preview_message(previewed: Previewed) -> v1::PreviewExportResponse {
    let Previewed { mapping, preview, least_seconds, new, stopped_by } = previewed;
    let Preview { mapping: _, drawn: _, rows, profiles, batches, bytes, .. } = preview;
    let Preview { duplicates, warnings, complete, bytes_read, source_bytes, .. } = preview;
    let rejects = preview.rejects.into_iter().map(|(reason, n)| (reason.to_string(), n));
    v1::PreviewExportResponse {
        columns: sent(&mapping),
        not_sent: Mapping::unsent(&mapping).to_vec(),
        first_profiles: preview.first,
        first_rejects: preview.first_rejects.into_iter().map(reject).collect(),
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
