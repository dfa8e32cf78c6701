//! What no document says about Klaviyo: an export ends the same whichever way it is.

use klaviyo_sim::{
    BadPhoneWithEmail, BadRevision, Config, EmailCase, ErrorBody, Gzip, Identifier,
    IdentifierConflict, LastPage, Megabyte, ProfileSize, RateLimitHeaders, RemoveNonMember,
    RetiredRevision, SeveralLists, UnknownListPointer, Unknowns,
};

use crate::harness::{Export, Judge, People, Sim, free};

/// Each switch away from its default, one at a time.
fn other_ways() -> Vec<(&'static str, Unknowns)> {
    use Identifier::{Email, ExternalId, Id, PhoneNumber};
    let base = Unknowns::default;
    vec![
        ("forbidden_body", Unknowns { forbidden_body: ErrorBody::Html, ..base() }),
        ("too_large_body", Unknowns { too_large_body: ErrorBody::Html, ..base() }),
        ("bad_revision", Unknowns { bad_revision: BadRevision::ServedAsNewest, ..base() }),
        (
            "retired_revision",
            Unknowns { retired_revision: RetiredRevision::FallsForward, ..base() },
        ),
        (
            "unknown_list_pointer",
            Unknowns { unknown_list_pointer: UnknownListPointer::Data, ..base() },
        ),
        ("named_rows", Unknowns { named_rows: Some(2), ..base() }),
        ("several_lists", Unknowns { several_lists: SeveralLists::Refused, ..base() }),
        ("gzip", Unknowns { gzip: Gzip::Refused, ..base() }),
        ("email_case", Unknowns { email_case: EmailCase::Kept, ..base() }),
        (
            "identifier_precedence",
            Unknowns { identifier_precedence: [PhoneNumber, ExternalId, Email, Id], ..base() },
        ),
        (
            "identifier_conflict",
            Unknowns { identifier_conflict: IdentifierConflict::FirstWins, ..base() },
        ),
        ("any_max", Unknowns { any_max: Some(100), ..base() }),
        ("remove_non_member", Unknowns { remove_non_member: RemoveNonMember::NotFound, ..base() }),
        ("megabyte", Unknowns { megabyte: Megabyte::Binary, ..base() }),
        ("profile_size", Unknowns { profile_size: ProfileSize::Attributes, ..base() }),
        (
            "bad_phone_with_email",
            Unknowns { bad_phone_with_email: BadPhoneWithEmail::Refused, ..base() },
        ),
        ("rate_limit_headers", Unknowns { rate_limit_headers: RateLimitHeaders::Steady, ..base() }),
        ("last_page", Unknowns { last_page: LastPage::Null, ..base() }),
    ]
}

#[test]
fn export_ends_the_same_whichever_way_klaviyo_does_what_no_document_says() {
    let people = People::good(150)
        .spoil(50, |n| format!("refuse{n}@example.com"), "refused_by_klaviyo")
        .spoil(40, |n| format!("importfail{n}@example.com"), "import_failed");
    for (switch, unknowns) in std::iter::once(("defaults", Unknowns::default())).chain(other_ways())
    {
        println!("{switch}"); // shown when the test fails
        let sim = Sim::start(Config { unknowns, ..free() });
        let ended = Export::to(&sim).content("people.csv", people.csv()).run().expect_code(3);
        let report = Judge::new(&sim, &people).verify(&ended);
        assert_eq!(report.batches, 1, "{switch}");
        assert_eq!(report.repeated_sends, 0, "{switch}");
        assert_eq!(report.undelivered, 0, "{switch}");
    }
}
