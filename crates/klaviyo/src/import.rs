//! The body of a bulk import: an envelope around the profile objects that somebody else writes.
//!
//! ```
//! use segue_klaviyo::import;
//!
//! let mut body = Vec::new();
//! import::begin(&mut body, &"Y6nRLr".parse()?);
//! body.extend_from_slice(br#"{"type":"profile","attributes":{"email":"ann@example.com"}}"#);
//! body.push(import::SEPARATOR);
//! body.extend_from_slice(br#"{"type":"profile","attributes":{"email":"bob@example.com"}}"#);
//! import::end(&mut body);
//! assert!(serde_json::from_slice::<serde_json::Value>(&body).is_ok());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use bytes::Bytes;

use crate::ListId;

/// Stands between two profile objects.
pub const SEPARATOR: u8 = b',';

const BEFORE_LIST: &[u8] = br#"{"data":{"type":"profile-bulk-import-job","relationships":{"lists":{"data":[{"type":"list","id":"#;
const AFTER_LIST: &[u8] = br#"}]}},"attributes":{"profiles":{"data":["#;
const END: &[u8] = b"]}}}}";

/// What [`end`] appends, in bytes: room to leave when a body is cut by size.
pub const END_BYTES: usize = END.len();

/// Writes everything before the first profile object.
///
/// The list stands before the profiles, so that a reader of the first few hundred bytes sees where
/// they go. One list per body: whether Klaviyo takes several is not published.
pub fn begin(out: &mut Vec<u8>, list: &ListId) {
    out.extend_from_slice(BEFORE_LIST);
    out.extend_from_slice(serde_json::Value::from(list.as_str()).to_string().as_bytes());
    out.extend_from_slice(AFTER_LIST);
}

/// Writes everything after the last profile object.
pub fn end(out: &mut Vec<u8>) {
    out.extend_from_slice(END);
}

/// A whole body, ready to send. Cloning copies no bytes.
///
/// At most 10,000 profiles and 5 MB (`bulk_import_profiles` in the `OpenAPI` file); the limits are
/// kept by who cuts the batch, see [`segue_model::MAX_BATCH_BYTES`].
#[derive(Clone)]
pub struct ImportBody {
    pub bytes: Bytes,
}

impl From<Bytes> for ImportBody {
    fn from(bytes: Bytes) -> Self {
        Self { bytes }
    }
}

impl std::fmt::Debug for ImportBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ImportBody({} bytes)", self.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{END_BYTES, SEPARATOR, begin, end};

    fn body(list: &str, profiles: &[&str]) -> Value {
        let mut out = Vec::new();
        begin(&mut out, &list.parse().unwrap());
        out.extend(profiles.join(&char::from(SEPARATOR).to_string()).bytes());
        let before = out.len();
        end(&mut out);
        assert_eq!(out.len() - before, END_BYTES);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn envelope_is_the_documented_resource() {
        let expected = json!({"data": {
            "type": "profile-bulk-import-job",
            "attributes": {"profiles": {"data": [{"a": 1}, {"b": 2}]}},
            "relationships": {"lists": {"data": [{"type": "list", "id": "Y6nRLr"}]}},
        }});
        assert_eq!(body("Y6nRLr", &[r#"{"a":1}"#, r#"{"b":2}"#]), expected);
    }

    #[test]
    fn list_id_cannot_break_out_of_its_string() {
        let hostile = r#"x"}]}},"y\"#;
        let list = &body(hostile, &[])["data"]["relationships"]["lists"]["data"][0]["id"];
        assert_eq!(list, hostile);
    }
}
