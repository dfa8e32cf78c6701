//! Klaviyo's resources as far as Segue reads them, and how they stand in an answer.
//!
//! Attributes that Klaviyo may leave out or set to null are optional here, whatever the schema says
//! today: a missing name must not stop an upload.

use segue_model::{Micros, Pii};
use serde::Deserialize;

use crate::{KlaviyoJobId, ListId, lenient::Lenient, refusal::ErrorSource};

/// A JSON:API document around one resource or a list of them.
#[derive(Deserialize)]
pub(crate) struct Document<D> {
    pub(crate) data: D,
    #[serde(default)]
    links: Links,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Links {
    next: Option<String>,
}

impl<D> Document<D> {
    /// The data and the link to the next page, which is absent or null on the last one.
    pub(crate) fn into_page(self) -> (D, Option<String>) {
        (self.data, self.links.next.filter(|link| !link.is_empty()))
    }
}

/// The account that a key belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "Resource<String, AccountAttributes>")]
pub struct Account {
    /// Six characters: the account's public key, also the `Cid` header of every answer.
    pub id: String,
    pub name: Option<String>,
    pub timezone: Option<String>,
    pub test_account: Option<bool>,
}

/// A list of an account.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "Resource<ListId, ListAttributes>")]
pub struct List {
    pub id: ListId,
    pub name: Option<String>,
    /// `single_opt_in` or `double_opt_in`.
    pub opt_in_process: Option<String>,
    /// RFC 3339, as Klaviyo wrote it.
    pub created: Option<String>,
    /// RFC 3339, as Klaviyo wrote it.
    pub updated: Option<String>,
}

impl List {
    /// `None` if Klaviyo told no time, or not as RFC 3339.
    pub fn created_at(&self) -> Option<Micros> {
        let at: jiff::Timestamp = self.created.as_deref()?.parse().ok()?;
        Some(Micros(at.as_microsecond()))
    }
}

/// A flow that joining a list starts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "Resource<String, FlowAttributes>")]
pub struct Flow {
    pub id: String,
    pub name: Option<String>,
    /// `draft`, `manual` or `live`; the set is not published as closed.
    pub status: Option<String>,
    pub archived: Option<bool>,
}

impl Flow {
    /// It would send messages to people who join the list. A flow whose status Klaviyo did not tell
    /// counts as live: better to ask once too often than to mail a segment by accident.
    pub fn is_live(&self) -> bool {
        let off = matches!(self.status.as_deref(), Some("draft" | "manual"));
        !off && self.archived != Some(true)
    }
}

/// A profile by its id and address.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "Resource<String, ProfileAttributes>")]
pub struct ProfileRef {
    pub id: String,
    pub email: Option<Pii<String>>,
}

/// A bulk import job.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "Resource<KlaviyoJobId, JobAttributes>")]
pub struct ImportJob {
    pub id: KlaviyoJobId,
    pub status: JobStatus,
    /// Profiles in the accepted body, as Klaviyo counts them.
    pub total_count: Option<u64>,
    /// By the example in the `OpenAPI` file (10 in all, 9 completed, 1 failed), without the failed.
    pub completed_count: Option<u64>,
    /// May be above zero in a `complete` job.
    pub failed_count: Option<u64>,
    /// RFC 3339, as Klaviyo wrote it: shown, never compared.
    pub created_at: Option<String>,
    pub started_at: Option<String>,
    pub completed_at: Option<String>,
    /// After this the job and its errors are gone.
    pub expires_at: Option<String>,
}

/// Where a job stands. There is no "failed": profiles fail, jobs do not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobStatus {
    Queued,
    Processing,
    Complete,
    Cancelled,
    /// A word that this version does not know. It is not final: only a seen end is an end.
    Unknown(String),
}

impl JobStatus {
    /// Klaviyo will not touch the job again.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Complete | Self::Cancelled => true,
            Self::Queued | Self::Processing | Self::Unknown(_) => false,
        }
    }
}

impl From<String> for JobStatus {
    fn from(word: String) -> Self {
        match word.as_str() {
            "queued" => Self::Queued,
            "processing" => Self::Processing,
            "complete" => Self::Complete,
            "cancelled" => Self::Cancelled,
            _ => Self::Unknown(word),
        }
    }
}

/// A profile that an accepted job could not import.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "Resource<String, ImportErrorAttributes>")]
pub struct ImportError {
    pub id: String,
    pub code: String,
    pub title: String,
    /// Klaviyo's explanation. It may quote what was sent.
    pub detail: Pii<String>,
    pub pointer: Option<String>,
    /// Which profile: there is no index, so it is found by what it was sent with.
    pub identifiers: Identifiers,
}

/// The identifiers in the `original_payload` of an import error. All `None` if Klaviyo sent no
/// payload: such a failure can be counted and not attributed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identifiers {
    pub email: Option<Pii<String>>,
    pub phone_number: Option<Pii<String>>,
    pub external_id: Option<Pii<String>>,
    pub id: Option<Pii<String>>,
}

#[derive(Deserialize)]
struct Resource<I, A> {
    id: I,
    #[serde(default)]
    attributes: A,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct AccountAttributes {
    contact_information: Lenient<ContactInformation>,
    timezone: Lenient<String>,
    test_account: Lenient<bool>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ContactInformation {
    organization_name: Lenient<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ListAttributes {
    name: Lenient<String>,
    opt_in_process: Lenient<String>,
    created: Lenient<String>,
    updated: Lenient<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct FlowAttributes {
    name: Lenient<String>,
    status: Lenient<String>,
    archived: Lenient<bool>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ProfileAttributes {
    email: Lenient<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct JobAttributes {
    status: Lenient<String>,
    total_count: Lenient<u64>,
    completed_count: Lenient<u64>,
    failed_count: Lenient<u64>,
    created_at: Lenient<String>,
    started_at: Lenient<String>,
    completed_at: Lenient<String>,
    expires_at: Lenient<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ImportErrorAttributes {
    code: Lenient<String>,
    title: Lenient<String>,
    detail: Lenient<String>,
    source: Lenient<ErrorSource>,
    original_payload: Lenient<Payload>,
}

/// The payload as it was seen, attributes flat, or as it was sent, with `attributes`: the schema
/// only says that it is an object.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Payload {
    id: Lenient<String>,
    email: Lenient<String>,
    phone_number: Lenient<String>,
    external_id: Lenient<String>,
    attributes: Lenient<Box<Payload>>,
}

impl From<Payload> for Identifiers {
    fn from(payload: Payload) -> Self {
        let Payload { id, email, phone_number, external_id, attributes } = payload;
        let nested = attributes.0.map(|nested| Self::from(*nested)).unwrap_or_default();
        let identifier = |text: Lenient<String>, nested: Option<Pii<String>>| {
            text.0.filter(|text| !text.is_empty()).map(Pii::new).or(nested)
        };
        Self {
            email: identifier(email, nested.email),
            phone_number: identifier(phone_number, nested.phone_number),
            external_id: identifier(external_id, nested.external_id),
            id: identifier(id, nested.id),
        }
    }
}

impl From<Resource<String, AccountAttributes>> for Account {
    fn from(Resource { id, attributes }: Resource<String, AccountAttributes>) -> Self {
        let AccountAttributes { contact_information, timezone, test_account } = attributes;
        let name = contact_information.0.and_then(|contact| contact.organization_name.0);
        Self { id, name, timezone: timezone.0, test_account: test_account.0 }
    }
}

impl From<Resource<ListId, ListAttributes>> for List {
    fn from(Resource { id, attributes }: Resource<ListId, ListAttributes>) -> Self {
        let ListAttributes { name, opt_in_process, created, updated } = attributes;
        Self {
            id,
            name: name.0,
            opt_in_process: opt_in_process.0,
            created: created.0,
            updated: updated.0,
        }
    }
}

impl From<Resource<String, FlowAttributes>> for Flow {
    fn from(Resource { id, attributes }: Resource<String, FlowAttributes>) -> Self {
        let FlowAttributes { name, status, archived } = attributes;
        Self { id, name: name.0, status: status.0, archived: archived.0 }
    }
}

impl From<Resource<String, ProfileAttributes>> for ProfileRef {
    fn from(Resource { id, attributes }: Resource<String, ProfileAttributes>) -> Self {
        Self { id, email: attributes.email.0.map(Pii::new) }
    }
}

impl From<Resource<KlaviyoJobId, JobAttributes>> for ImportJob {
    fn from(Resource { id, attributes }: Resource<KlaviyoJobId, JobAttributes>) -> Self {
        Self {
            id,
            status: attributes.status.0.unwrap_or_default().into(),
            total_count: attributes.total_count.0,
            completed_count: attributes.completed_count.0,
            failed_count: attributes.failed_count.0,
            created_at: attributes.created_at.0,
            started_at: attributes.started_at.0,
            completed_at: attributes.completed_at.0,
            expires_at: attributes.expires_at.0,
        }
    }
}

impl From<Resource<String, ImportErrorAttributes>> for ImportError {
    fn from(Resource { id, attributes }: Resource<String, ImportErrorAttributes>) -> Self {
        let ImportErrorAttributes { code, title, detail, source, original_payload } = attributes;
        Self {
            id,
            code: code.0.unwrap_or_default(),
            title: title.0.unwrap_or_default(),
            detail: Pii::new(detail.0.unwrap_or_default()),
            pointer: source.0.and_then(|source| source.pointer.0),
            identifiers: original_payload.0.unwrap_or_default().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::{Flow, Identifiers, ImportError, ImportJob, JobStatus};

    fn identifiers(payload: &serde_json::Value) -> Identifiers {
        let error = json!({"type": "import-error", "id": "e1", "attributes": {
            "code": "invalid", "title": "Invalid input", "detail": "…",
            "source": {"pointer": "/data"}, "original_payload": payload,
        }});
        from_value::<ImportError>(error).unwrap().identifiers
    }

    #[test]
    fn identifiers_are_found_in_flat_and_in_nested_payloads() {
        let flat = json!({"email": "ann@example.com", "phone_number": "+12025550123", "x": [1]});
        let nested = json!({"type": "profile", "id": "01H", "attributes": {
            "email": "ann@example.com", "external_id": "c-1", "location": {"country": "DK"},
        }});
        let (flat, nested) = (identifiers(&flat), identifiers(&nested));
        assert_eq!(flat.email.unwrap().expose(), "ann@example.com");
        assert_eq!(flat.phone_number.unwrap().expose(), "+12025550123");
        assert_eq!(nested.email.unwrap().expose(), "ann@example.com");
        assert_eq!(nested.external_id.unwrap().expose(), "c-1");
        assert_eq!(nested.id.unwrap().expose(), "01H");
    }

    #[test]
    fn payload_that_identifies_nobody_is_still_an_error_of_the_job() {
        for payload in [json!(null), json!("text"), json!([]), json!({"email": ["a"], "id": ""})] {
            assert_eq!(identifiers(&payload), Identifiers::default(), "{payload}");
        }
    }

    #[test]
    fn job_is_known_by_its_id_even_if_all_else_is_odd() {
        let job = json!({"id": "am9i", "attributes": {"total_count": "many", "status": null}});
        let job: ImportJob = from_value(job).unwrap();
        assert_eq!((job.id.as_str(), job.total_count), ("am9i", None));
        assert!(!job.status.is_final(), "only a status that was seen is an end");
        assert!(from_value::<ImportJob>(json!({"id": "", "attributes": {}})).is_err());
    }

    #[test]
    fn status_is_told_by_the_word_that_klaviyo_documents_and_no_other() {
        for (word, status) in [
            ("queued", JobStatus::Queued),
            ("processing", JobStatus::Processing),
            ("complete", JobStatus::Complete),
            ("cancelled", JobStatus::Cancelled),
            ("Queued", JobStatus::Unknown("Queued".to_owned())),
            ("", JobStatus::Unknown(String::new())),
        ] {
            assert_eq!(JobStatus::from(word.to_owned()), status, "{word}");
        }
    }

    #[test]
    fn only_complete_and_cancelled_are_final() {
        let is_final = |word: &str| JobStatus::from(word.to_owned()).is_final();
        assert!(is_final("complete") && is_final("cancelled"));
        assert!(!is_final("queued") && !is_final("processing") && !is_final("failed"));
    }

    #[test]
    fn flow_counts_as_live_unless_klaviyo_says_that_it_is_not() {
        let is_live = |status, archived| {
            let flow = json!({"id": "f", "attributes": {"status": status, "archived": archived}});
            from_value::<Flow>(flow).unwrap().is_live()
        };
        assert!(is_live(Some("live"), Some(false)) && is_live(None, None));
        assert!(!is_live(Some("live"), Some(true)) && !is_live(Some("draft"), Some(false)));
    }
}
