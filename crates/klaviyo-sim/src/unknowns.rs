//! What no document says about Klaviyo, as switches. The defaults are the likeliest; an exporter
//! has to work with every one of them.

/// One field for each thing that can be learned only from a real account.
#[derive(Debug, Clone)]
pub struct Unknowns {
    /// The body of a 403 for a missing scope.
    pub forbidden_body: ErrorBody,
    /// The body of a 413.
    pub too_large_body: ErrorBody,
    /// The answer when `revision` is missing or is no date.
    pub bad_revision: BadRevision,
    /// The answer to a retired revision. Klaviyo: "returns 410 errors or silently falls forward".
    pub retired_revision: RetiredRevision,
    /// Where the 400 for an unknown list of an import points.
    pub unknown_list_pointer: UnknownListPointer,
    /// How many invalid profiles one 400 names; `None` names all.
    pub named_rows: Option<usize>,
    /// Where the refusal of an invalid profile points.
    pub bad_row_pointer: BadRowPointer,
    /// Whether an import may name more than one list.
    pub several_lists: SeveralLists,
    /// Whether a body may be compressed.
    pub gzip: Gzip,
    /// Whether `Ann@example.com` and `ann@example.com` are one profile.
    pub email_case: EmailCase,
    /// Which identifier finds the profile when several are given, first to last.
    pub identifier_precedence: [Identifier; 4],
    /// What happens when identifiers of one profile belong to several.
    pub identifier_conflict: IdentifierConflict,
    /// How many values `any(…)` takes; `None` is no limit.
    pub any_max: Option<usize>,
    /// The answer to removing a profile from a list it is not on.
    pub remove_non_member: RemoveNonMember,
    /// Whether "5 MB" and "100 KB" count in thousands or in 1,024s.
    pub megabyte: Megabyte,
    /// The most bytes of a body where that is less than the documented 5 MB.
    pub smaller_bodies: Option<usize>,
    /// What of a profile the 100 KB are counted over.
    pub profile_size: ProfileSize,
    /// What happens to an invalid phone number beside a valid e-mail address.
    pub bad_phone_with_email: BadPhoneWithEmail,
    /// Which window the `RateLimit-*` headers tell about: recordings and documents disagree.
    pub rate_limit_headers: RateLimitHeaders,
    /// What the last page of a collection says in `links`: the OpenAPI file does not allow null.
    pub last_page: LastPage,
    /// What errors inside of a job say.
    pub import_errors: ImportErrorTexts,
    /// Whether they show whose they are: the OpenAPI file allows null.
    pub original_payload: OriginalPayload,
}

impl Default for Unknowns {
    fn default() -> Self {
        use Identifier::{Email, ExternalId, Id, PhoneNumber};
        Self {
            forbidden_body: ErrorBody::default(),
            too_large_body: ErrorBody::default(),
            bad_revision: BadRevision::default(),
            retired_revision: RetiredRevision::default(),
            unknown_list_pointer: UnknownListPointer::default(),
            named_rows: None,
            bad_row_pointer: BadRowPointer::default(),
            several_lists: SeveralLists::default(),
            gzip: Gzip::default(),
            email_case: EmailCase::default(),
            identifier_precedence: [Id, Email, PhoneNumber, ExternalId],
            identifier_conflict: IdentifierConflict::default(),
            any_max: Some(100),
            remove_non_member: RemoveNonMember::default(),
            megabyte: Megabyte::default(),
            smaller_bodies: None,
            profile_size: ProfileSize::default(),
            bad_phone_with_email: BadPhoneWithEmail::default(),
            rate_limit_headers: RateLimitHeaders::default(),
            last_page: LastPage::default(),
            import_errors: ImportErrorTexts::default(),
            original_payload: OriginalPayload::default(),
        }
    }
}

impl Unknowns {
    /// The most bytes a request body may have, decompressed.
    pub fn body_limit(&self) -> usize {
        let documented = self.megabyte.body_limit();
        self.smaller_bodies.map_or(documented, |limit| limit.min(documented))
    }
}

macro_rules! switch {
    ($(#[doc = $doc:literal])* $name:ident { $(#[doc = $first_doc:literal])* $first:ident, $($(#[doc = $other_doc:literal])* $other:ident,)* }) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub enum $name {
            $(#[doc = $first_doc])*
            #[default]
            $first,
            $($(#[doc = $other_doc])* $other,)*
        }
    };
}

switch! {
    /// How an error is written.
    ErrorBody {
        /// As Klaviyo's application writes errors.
        JsonApi,
        /// As a gateway in front of it writes them.
        Html,
    }
}
switch! {
    /// A missing or malformed `revision` header.
    BadRevision {
        /// 400.
        Refused,
        /// Served as the newest revision.
        ServedAsNewest,
    }
}
switch! {
    /// A revision past its life.
    RetiredRevision {
        /// 410.
        Gone,
        /// Served as the oldest revision that still lives.
        FallsForward,
    }
}
switch! {
    /// Where the refusal of an unknown list points.
    UnknownListPointer {
        /// `/data/relationships/lists/data/{i}/id`
        ListId,
        /// `/data`
        Data,
    }
}
switch! {
    /// Where the refusal of an invalid profile points.
    BadRowPointer {
        /// `/data/attributes/profiles/data/{i}/…`
        Row,
        /// `/data/attributes/profiles`: somewhere among them.
        Profiles,
    }
}
switch! {
    /// `original_payload` of an error inside of a job.
    OriginalPayload {
        /// The attributes as they were sent.
        AsSent,
        /// Null.
        Null,
    }
}
switch! {
    /// An import that names more than one list.
    SeveralLists {
        /// The profiles join all of them.
        Accepted,
        /// 400.
        Refused,
    }
}
switch! {
    /// A body with `Content-Encoding: gzip`.
    Gzip {
        /// Decompressed; the size limit counts what comes out.
        Accepted,
        /// 415.
        Refused,
    }
}
switch! {
    /// Upper and lower case in e-mail addresses.
    EmailCase {
        /// One profile, its address in lower case.
        Folded,
        /// Two profiles.
        Kept,
    }
}
switch! {
    /// Identifiers of one profile in a job that belong to different profiles.
    IdentifierConflict {
        /// The profile fails as a duplicate.
        Fails,
        /// The profile found first is updated, its other identifiers stay as they were.
        FirstWins,
    }
}
switch! {
    /// Removing a profile from a list it is not on.
    RemoveNonMember {
        /// 204, as for a member.
        NoContent,
        /// 404.
        NotFound,
    }
}
switch! {
    /// The size of a megabyte.
    Megabyte {
        /// 5 MB are 5,000,000 bytes.
        Decimal,
        /// 5 MB are 5,242,880 bytes.
        Binary,
    }
}
switch! {
    /// What the size limit of a profile is counted over.
    ProfileSize {
        /// The whole resource, with type and meta.
        Resource,
        /// Its `attributes` only.
        Attributes,
    }
}
switch! {
    /// An invalid phone number beside a valid e-mail address. Klaviyo documents a refusal only for
    /// an invalid number "without a valid email address".
    BadPhoneWithEmail {
        /// The number is left out, the profile imported.
        Dropped,
        /// 400, as without an e-mail address.
        Refused,
    }
}
switch! {
    /// The window the `RateLimit-*` headers tell about.
    RateLimitHeaders {
        /// One second, as in most recordings of live traffic.
        Burst,
        /// One minute, as documented.
        Steady,
    }
}
switch! {
    /// `links.next` where there is no next page.
    LastPage {
        /// The member is not there.
        Absent,
        /// The member is null.
        Null,
    }
}

impl Megabyte {
    /// The most bytes a request body may have: 5 MB, decompressed.
    pub fn body_limit(self) -> usize {
        match self {
            Self::Decimal => 5_000_000,
            Self::Binary => 5 * 1024 * 1024,
        }
    }

    /// The most bytes a profile may have: 100 KB.
    pub fn profile_limit(self) -> usize {
        match self {
            Self::Decimal => 100_000,
            Self::Binary => 100 * 1024,
        }
    }
}

/// What identifies a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Identifier {
    /// Klaviyo's own id.
    Id,
    /// `email`
    Email,
    /// `phone_number`
    PhoneNumber,
    /// `external_id`
    ExternalId,
}

/// One error inside of a job, in Klaviyo's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportErrorText {
    /// For example `invalid`.
    pub code: String,
    /// For example `Invalid input.`
    pub title: String,
    /// The sentence for people.
    pub detail: String,
}

impl ImportErrorText {
    /// An error text.
    pub fn new(code: &str, title: &str, detail: &str) -> Self {
        Self { code: code.to_owned(), title: title.to_owned(), detail: detail.to_owned() }
    }
}

/// The words for each way a profile fails inside of a job.
#[derive(Debug, Clone)]
pub struct ImportErrorTexts {
    /// By the rule or the fault that makes profiles fail.
    pub invalid: ImportErrorText,
    /// Identifiers of several profiles.
    pub duplicate: ImportErrorText,
    /// No identifier at all, or only a phone number in an account without SMS.
    pub missing_identifier: ImportErrorText,
    /// More than 100 KB.
    pub too_large: ImportErrorText,
}

impl Default for ImportErrorTexts {
    fn default() -> Self {
        let invalid = |detail| ImportErrorText::new("invalid", "Invalid input.", detail);
        Self {
            invalid: invalid("The profile could not be imported."),
            duplicate: ImportErrorText::new(
                "duplicate_profile",
                "Conflict.",
                "A profile already exists with one of these identifiers.",
            ),
            missing_identifier: invalid("At least one identifier is required."),
            too_large: invalid("The profile is larger than 100 KB."),
        }
    }
}
