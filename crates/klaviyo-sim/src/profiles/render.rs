//! Profiles as the API shows them.

use serde_json::{Map, Value, json};

use super::{Number, Profiles, merge::object};
use crate::{
    clock::{Millis, rfc3339},
    query::Query,
};

/// Text attributes that every answer has, null or not.
const TEXTS: [&str; 6] = ["first_name", "last_name", "organization", "locale", "title", "image"];

/// The resource, with `joined_group_at` when it is shown as a member of a list.
pub(crate) fn profile(
    profiles: &Profiles,
    number: Number,
    base: &str,
    query: &Query,
    joined: Option<Millis>,
) -> Value {
    let id = profiles.id(number);
    let mut attributes = attributes(profiles, number);
    if let Some(joined) = joined {
        attributes.insert("joined_group_at".to_owned(), rfc3339(joined).into());
    }
    for (extra, value) in [("subscriptions", subscriptions()), ("predictive_analytics", json!({}))]
    {
        if query.names("additional-fields[profile]", extra) {
            attributes.insert(extra.to_owned(), value);
        }
    }
    let this = format!("{base}/api/profiles/{id}");
    let related = |what: &str| {
        json!({"links": {"self": format!("{this}/relationships/{what}"),
                         "related": format!("{this}/{what}")}})
    };
    json!({
        "type": "profile",
        "id": id,
        "attributes": sparse(attributes, query.fields("profile").as_deref()),
        "relationships": {
            "lists": related("lists"),
            "segments": related("segments"),
            "push-tokens": related("push-tokens"),
        },
        "links": {"self": this},
    })
}

fn attributes(profiles: &Profiles, number: Number) -> Map<String, Value> {
    let mut sent = object(profiles.attributes(number).unwrap_or("{}"));
    let mut all = Map::new();
    all.insert("email".to_owned(), profiles.email(number).into());
    all.insert("phone_number".to_owned(), profiles.phone_number(number).into());
    all.insert("external_id".to_owned(), profiles.external_id(number).into());
    for name in TEXTS {
        all.insert(name.to_owned(), sent.remove(name).unwrap_or_default());
    }
    for name in ["location", "properties"] {
        let members = match sent.remove(name) {
            Some(Value::Object(members)) => members,
            _ => Map::new(),
        };
        let known: Map<_, _> = members.into_iter().filter(|(_, value)| !value.is_null()).collect();
        all.insert(name.to_owned(), known.into());
    }
    all.insert("created".to_owned(), rfc3339(profiles.created(number)).into());
    all.insert("updated".to_owned(), rfc3339(profiles.updated(number)).into());
    all.insert("last_event_date".to_owned(), Value::Null);
    all
}

/// Nobody subscribed to anything: an import does not set consent.
fn subscriptions() -> Value {
    json!({
        "email": {"marketing": {
            "can_receive_email_marketing": true, "consent": "NEVER_SUBSCRIBED",
            "consent_timestamp": null, "last_updated": null, "method": null, "method_detail": null,
            "custom_method_detail": null, "double_optin": null, "suppression": [],
            "list_suppressions": []}},
        "sms": {"marketing": {
            "can_receive_sms_marketing": false, "consent": "NEVER_SUBSCRIBED",
            "consent_timestamp": null, "method": null, "method_detail": null,
            "last_updated": null}},
    })
}

/// Keeps only `fields`; `location.city` keeps that part of `location`.
pub(crate) fn sparse(all: Map<String, Value>, fields: Option<&[&str]>) -> Map<String, Value> {
    let Some(fields) = fields else { return all };
    let mut kept = Map::new();
    for (name, value) in all {
        if fields.contains(&name.as_str()) {
            kept.insert(name, value);
            continue;
        }
        let Value::Object(members) = value else { continue };
        let inner: Vec<&str> = fields
            .iter()
            .filter_map(|field| field.strip_prefix(name.as_str())?.strip_prefix('.'))
            .collect();
        if !inner.is_empty() {
            kept.insert(name, sparse(members, Some(&inner)).into());
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::sparse;

    #[test]
    fn sparse_fieldset_keeps_whole_fields_and_parts_of_them() {
        let Value::Object(all) = json!({"email": "a@example.com", "title": "Dr",
                                        "location": {"city": "Aarhus", "zip": "8000"}})
        else {
            unreachable!("it is an object")
        };
        let kept = sparse(all, Some(&["email", "location.city"]));
        let expected = json!({"email": "a@example.com", "location": {"city": "Aarhus"}});
        assert_eq!(Value::Object(kept), expected);
    }
}
