use std::collections::BTreeMap;

use segue_model::Pii;
use serde::Deserialize;

use crate::lenient::Lenient;

/// One entry of an error answer.
///
/// Every field that the answer left out is empty: some answers are only half documented, and an odd
/// error must still be reported in Klaviyo's own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// Equal to the request id of the answer.
    pub id: String,
    /// A stable word, as in `invalid` or `duplicate_profile`.
    pub code: String,
    pub title: String,
    /// Klaviyo's explanation. It may quote what was sent.
    pub detail: Pii<String>,
    /// A JSON pointer into the body that was sent.
    pub pointer: Option<String>,
    /// The query parameter that was wrong.
    pub parameter: Option<String>,
}

/// A request that Klaviyo understood and refused: a 4xx that has no variant of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    /// In Klaviyo's order; empty if the answer named none.
    pub errors: Vec<ApiError>,
}

/// What the errors of a refused bulk import point at. Each error is in exactly one place.
#[derive(Debug, Default)]
pub struct RefusedRows<'a> {
    /// By index in the body **as sent**, from 0: `/data/attributes/profiles/data/{i}` and below.
    /// An index beyond the body is Klaviyo's mistake, and is for the caller to notice.
    pub rows: BTreeMap<usize, Vec<&'a ApiError>>,
    /// At the profiles as a whole, without naming one.
    pub profiles: Vec<&'a ApiError>,
    /// At the list that the body names.
    pub list: Vec<&'a ApiError>,
    /// Anywhere else, or nowhere.
    pub other: Vec<&'a ApiError>,
}

impl RefusedRows<'_> {
    /// Rows are at fault and none is named: only a smaller body can find them.
    pub fn at_profiles(&self) -> bool {
        !self.profiles.is_empty() && self.rows.is_empty()
    }
}

impl Refusal {
    pub fn refused_rows(&self) -> RefusedRows<'_> {
        let mut sorted = RefusedRows::default();
        for error in &self.errors {
            match Target::of(error.pointer.as_deref().unwrap_or_default()) {
                Target::Row(index) => sorted.rows.entry(index).or_default().push(error),
                Target::Profiles => sorted.profiles.push(error),
                Target::List => sorted.list.push(error),
                Target::Other => sorted.other.push(error),
            }
        }
        sorted
    }
}

#[derive(Debug, PartialEq)]
enum Target {
    Row(usize),
    Profiles,
    List,
    Other,
}

impl Target {
    fn of(pointer: &str) -> Self {
        let mut tokens = pointer.trim_end_matches('/').split('/');
        if (tokens.next(), tokens.next()) != (Some(""), Some("data")) {
            return Self::Other;
        }
        match (tokens.next(), tokens.next(), tokens.next(), tokens.next()) {
            (Some("attributes"), Some("profiles"), Some("data"), Some(index)) => {
                decimal(index).map_or(Self::Profiles, Self::Row)
            }
            (Some("attributes"), Some("profiles"), ..) => Self::Profiles,
            // Bulk import says `lists`; its sibling for subscriptions says `list`.
            (Some("relationships"), Some("lists" | "list"), ..) => Self::List,
            _ => Self::Other,
        }
    }
}

/// Digits only: `parse` alone would also take `+1`, which no JSON pointer means.
fn decimal(token: &str) -> Option<usize> {
    token.bytes().all(|byte| byte.is_ascii_digit()).then(|| token.parse().ok()).flatten()
}

/// `{"errors": […]}` as it may come: the four required members are not always there.
#[derive(Deserialize)]
pub(crate) struct ErrorDocument {
    #[serde(default)]
    errors: Vec<ErrorObject>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ErrorObject {
    id: Lenient<String>,
    code: Lenient<String>,
    title: Lenient<String>,
    detail: Lenient<String>,
    source: Lenient<ErrorSource>,
}

/// What an error points at; the same in the errors of a job.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct ErrorSource {
    pub(crate) pointer: Lenient<String>,
    parameter: Lenient<String>,
}

impl ErrorDocument {
    pub(crate) fn into_errors(self) -> Vec<ApiError> {
        self.errors.into_iter().map(ApiError::from).collect()
    }
}

impl From<ErrorObject> for ApiError {
    fn from(error: ErrorObject) -> Self {
        let ErrorObject { id, code, title, detail, source } = error;
        let ErrorSource { pointer, parameter } = source.0.unwrap_or_default();
        Self {
            id: id.0.unwrap_or_default(),
            code: code.0.unwrap_or_default(),
            title: title.0.unwrap_or_default(),
            detail: Pii::new(detail.0.unwrap_or_default()),
            pointer: pointer.0,
            parameter: parameter.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use segue_model::Pii;

    use super::{ApiError, Refusal, Target};

    #[test]
    fn pointer_names_a_row_only_with_a_decimal_index() {
        let cases = [
            ("/data/attributes/profiles/data/0/attributes/email", Target::Row(0)),
            ("/data/attributes/profiles/data/9999", Target::Row(9999)),
            ("/data/attributes/profiles/data/12/", Target::Row(12)),
            ("/data/attributes/profiles/data/x/attributes", Target::Profiles),
            ("/data/attributes/profiles/data/-1", Target::Profiles),
            ("/data/attributes/profiles/data/+1", Target::Profiles),
            ("/data/attributes/profiles/data/99999999999999999999999", Target::Profiles),
            ("/data/attributes/profiles/data", Target::Profiles),
            ("/data/attributes/profiles", Target::Profiles),
            ("/data/relationships/lists/data/0/id", Target::List),
            ("/data/relationships/list/data/id", Target::List),
            ("/data/relationships/tags", Target::Other),
            ("/data/attributes/profilesdata/3", Target::Other),
            ("data/attributes/profiles/data/3", Target::Other),
            ("/data", Target::Other),
            ("/data/", Target::Other),
            ("", Target::Other),
        ];
        for (pointer, target) in cases {
            assert_eq!(Target::of(pointer), target, "{pointer}");
        }
    }

    fn error(pointer: Option<&str>) -> ApiError {
        ApiError {
            id: "r".to_owned(),
            code: "invalid".to_owned(),
            title: String::new(),
            detail: Pii::new("ann@example.com".to_owned()),
            pointer: pointer.map(str::to_owned),
            parameter: None,
        }
    }

    #[test]
    fn every_error_of_a_refusal_is_kept_in_exactly_one_place() {
        let row = "/data/attributes/profiles/data/7/attributes/email";
        let pointers = [Some(row), Some("/data/attributes/profiles"), Some(row), None];
        let refusal = Refusal { status: 400, errors: pointers.into_iter().map(error).collect() };
        let sorted = refusal.refused_rows();
        assert_eq!(sorted.rows[&7].len(), 2);
        assert_eq!((sorted.profiles.len(), sorted.list.len(), sorted.other.len()), (1, 0, 1));
        assert!(!sorted.at_profiles(), "a row is named, so there is something to strip first");
    }

    #[test]
    fn refusal_of_the_profiles_without_an_index_asks_for_a_split() {
        let refusal =
            Refusal { status: 400, errors: vec![error(Some("/data/attributes/profiles"))] };
        assert!(refusal.refused_rows().at_profiles());
    }
}
