//! The API tokens that Segue gives out: `segue_<id>_<secret>`.
//!
//! The id finds the record, the secret proves that the token is the one that was given out, and only a hash
//! of it is kept.

mod hash;
mod id;
mod text;

use segue_model::Micros;

pub use hash::{InvalidHash, TokenHash};
pub use id::{InvalidTokenId, TokenId};
pub use text::{InvalidToken, NewToken, NoRandomness, TokenSecret, TokenText, is_api_token};

use crate::{Denied, Principal, Role, Subject};

/// What is kept of an API token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRecord {
    pub id: TokenId,
    /// What people call it.
    pub name: String,
    pub role: Role,
    pub hash: TokenHash,
    pub created: Micros,
    /// From then on it is not admitted. `None`: never.
    pub expires: Option<Micros>,
    /// When somebody took it back. It is not admitted from then on, whatever the time is said to be.
    pub revoked: Option<Micros>,
}

/// Whom the token lets in. `record`: the one with the id of `presented`, if there is one.
pub fn admit(
    record: Option<&TokenRecord>,
    presented: &TokenText,
    now: Micros,
) -> Result<Principal, Denied> {
    // What follows the secret is only for whoever has it: a stranger learns nothing about any id.
    let record = record
        .filter(|record| record.id == presented.id && record.hash.matches(&presented.secret))
        .ok_or(Denied::Unknown)?;
    if let Some(at) = record.revoked {
        return Err(Denied::Revoked { at });
    }
    if let Some(at) = record.expires.filter(|at| now >= *at) {
        return Err(Denied::Expired { at });
    }
    let subject = Subject::Token(record.id);
    Ok(Principal { subject, name: record.name.clone(), role: record.role })
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;
    use segue_model::Micros;

    use super::{NewToken, TokenRecord, TokenText, admit};
    use crate::{Class, Denied, Role, Subject};

    const CREATED: Micros = Micros(1_790_000_000_000_000);
    const NOW: Micros = Micros(CREATED.0 + 1);

    fn given_out() -> (TokenRecord, TokenText) {
        let NewToken { id, text, hash } = NewToken::generate(CREATED).unwrap();
        let presented = TokenText::parse(text.expose_secret()).unwrap();
        let (name, role) = ("nightly".to_owned(), Role::Contributor);
        let (expires, revoked) = (None, None);
        (TokenRecord { id, name, role, hash, created: CREATED, expires, revoked }, presented)
    }

    #[test]
    fn a_token_lets_in_whom_its_record_names() {
        let (record, presented) = given_out();
        let principal = admit(Some(&record), &presented, NOW).unwrap();
        assert_eq!(principal.subject, Subject::Token(record.id));
        assert_eq!((principal.name.as_str(), principal.role), ("nightly", Role::Contributor));
    }

    #[test]
    fn a_wrong_secret_and_an_unknown_id_look_the_same() {
        let (mut record, _) = given_out();
        let (_, other) = given_out();
        let presented = TokenText { id: record.id, ..other };
        // Nor does a record that is over give itself away.
        (record.expires, record.revoked) = (Some(CREATED), Some(CREATED));
        let unknown = admit(None, &presented, NOW).unwrap_err();
        let wrong = admit(Some(&record), &presented, NOW).unwrap_err();
        assert!(matches!(unknown, Denied::Unknown) && matches!(wrong, Denied::Unknown));
        assert_eq!(unknown.to_string(), wrong.to_string());
    }

    #[test]
    fn a_record_of_another_token_does_not_count() {
        let (record, presented) = given_out();
        let (other, _) = given_out();
        let mixed_up = TokenRecord { id: other.id, ..record };
        assert!(matches!(admit(Some(&mixed_up), &presented, NOW), Err(Denied::Unknown)));
    }

    #[test]
    fn a_token_ends_at_the_instant_it_expires() {
        let (record, presented) = given_out();
        let record = TokenRecord { expires: Some(NOW), ..record };
        assert!(admit(Some(&record), &presented, CREATED).is_ok());
        let denied = admit(Some(&record), &presented, NOW).unwrap_err();
        assert!(matches!(denied, Denied::Expired { at: NOW }), "{denied}");
        assert!(denied.to_string().contains(&NOW.to_string()), "{denied}");
    }

    #[test]
    fn a_revoked_token_stays_out_even_by_a_clock_that_is_behind() {
        let (record, presented) = given_out();
        let record = TokenRecord { revoked: Some(NOW), expires: Some(CREATED), ..record };
        for now in [CREATED, NOW] {
            let denied = admit(Some(&record), &presented, now).unwrap_err();
            assert!(matches!(denied, Denied::Revoked { at: NOW }), "{denied}");
            assert_eq!(denied.class(), Class::Unauthenticated);
        }
    }
}
