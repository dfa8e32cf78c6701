use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Text that cannot be an id of Klaviyo's. The text itself is not repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a Klaviyo {what} id: 1 to {MAX_ID_BYTES} printable ASCII characters, no spaces, not . or .."
)]
pub struct InvalidKlaviyoId {
    what: &'static str,
}

/// Longest id that is taken for one. List ids have 6 characters and job ids about 60 today; Klaviyo
/// publishes no limit, so this only keeps a URL from growing without bound.
const MAX_ID_BYTES: usize = 256;

/// An empty id would address the whole collection, `.` and `..` are removed from URLs: all three
/// would silently call another endpoint.
fn is_valid(text: &str) -> bool {
    (1..=MAX_ID_BYTES).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_graphic())
        && text != "."
        && text != ".."
}

macro_rules! ids {
    ($($(#[doc = $doc:literal])* $name:ident $what:literal;)*) => {$(
        $(#[doc = $doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidKlaviyoId;
            fn try_from(text: String) -> Result<Self, InvalidKlaviyoId> {
                if is_valid(&text) { Ok(Self(text)) } else { Err(InvalidKlaviyoId { what: $what }) }
            }
        }

        impl FromStr for $name {
            type Err = InvalidKlaviyoId;
            fn from_str(text: &str) -> Result<Self, InvalidKlaviyoId> {
                text.to_owned().try_into()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

ids! {
    /// The id of a Klaviyo list, as in `Y6nRLr`.
    ListId "list";
    /// The id of a bulk import job in Klaviyo: opaque, and not a Segue [`JobId`](segue_model::JobId).
    KlaviyoJobId "job";
}

#[cfg(test)]
mod tests {
    use super::{KlaviyoJobId, ListId};

    #[test]
    fn id_that_would_address_another_endpoint_is_refused() {
        for text in ["", ".", "..", "a b", "a\n", "ä", &"x".repeat(257)] {
            assert!(text.parse::<ListId>().is_err(), "{text:?}");
            let json = serde_json::to_string(text).unwrap();
            assert!(serde_json::from_str::<KlaviyoJobId>(&json).is_err(), "{text:?}");
        }
    }

    #[test]
    fn id_reads_back_as_itself() {
        let id: ListId = serde_json::from_str(r#""Y6nRLr""#).unwrap();
        assert_eq!(serde_json::to_string(&id).unwrap(), r#""Y6nRLr""#);
        assert_eq!(id.to_string().parse::<ListId>(), Ok(id));
    }
}
