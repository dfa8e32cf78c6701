//! Consent, suppression, erasure and merging: answered like Klaviyo, changing nothing. That they
//! were called is in the log, where a test looks for it.

use http::StatusCode;
use rand::Rng;
use serde_json::json;

use crate::{Endpoint, answer::Answer, clock::rfc3339, context::Context, error::Refusal};

pub(crate) fn answer(endpoint: Endpoint, context: &Context) -> Result<Answer, Refusal> {
    match endpoint {
        Endpoint::Suppress => job(context, "profile-suppression-bulk-create-job"),
        Endpoint::Unsuppress => job(context, "profile-suppression-bulk-delete-job"),
        Endpoint::MergeProfiles => merge(context),
        _ => {
            context.any_document()?;
            Ok(Answer::empty(StatusCode::ACCEPTED))
        }
    }
}

fn job(context: &Context, kind: &str) -> Result<Answer, Refusal> {
    let document = context.document(kind)?;
    let profiles = document["data"]["attributes"]["profiles"]["data"].as_array();
    let id = {
        let mut state = context.account.state(&context.shared.clock);
        uuid::Builder::from_random_bytes(state.rng.random()).into_uuid().to_string()
    };
    let body = json!({
        "data": {
            "type": kind,
            "id": id,
            "attributes": {
                "status": "queued",
                "created_at": rfc3339(context.shared.clock.now()),
                "total_count": profiles.map_or(0, Vec::len),
                "completed_count": 0,
                "completed_at": null,
                "skipped_count": 0,
            },
            "links": {"self": format!("{}/api/{kind}s/{id}", context.base)},
        },
        "links": {"self": context.self_link()},
    });
    Ok(Answer::json(StatusCode::ACCEPTED, &body))
}

fn merge(context: &Context) -> Result<Answer, Refusal> {
    let document = context.document("profile-merge")?;
    let id = document["data"]["id"].as_str().unwrap_or_default();
    let body = json!({
        "data": {
            "type": "profile",
            "id": id,
            "links": {"self": format!("{}/api/profiles/{id}", context.base)},
        },
        "links": {"self": context.self_link()},
    });
    Ok(Answer::json(StatusCode::CREATED, &body))
}
