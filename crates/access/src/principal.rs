use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Denied, Role, oidc::Issuer, token::TokenId};

/// Somebody who was let in.
#[derive(Clone, PartialEq, Eq)]
pub struct Principal {
    pub subject: Subject,
    /// What people call it: the name of the token, or of the person. For people only; it may change.
    pub name: String,
    pub role: Role,
}

impl Principal {
    /// [`Denied::Role`] unless this is somebody of that role or of one above it.
    pub fn require(&self, needs: Role) -> Result<(), Denied> {
        if self.role >= needs { Ok(()) } else { Err(Denied::Role { needs, has: self.role }) }
    }

    /// Segue itself. It may do everything: who could make it do so was asked before.
    pub fn segue(part: Part) -> Self {
        Self { subject: Subject::Segue(part), name: part.to_string(), role: Role::Administrator }
    }
}

/// Without the name, which may be a person's.
impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Principal")
            .field("subject", &self.subject)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

/// Who somebody is, the same for ever: what an audit record and the owner of an export hold.
///
/// Text form: `token:<token id>`, `oidc:<issuer>#<sub>` or `segue:<part>`. `Debug` leaves the `sub` out, because
/// some issuers put an address there.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// Whoever holds this API token.
    Token(TokenId),
    /// Whoever an issuer vouches for.
    Oidc(Identity),
    /// Segue itself: nobody has called it.
    Segue(Part),
}

/// By what Segue was made to do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// A message on the queue of commands: who may write there is the broker's affair.
    Queue,
    /// A schedule.
    Schedule,
    /// The first start of a process.
    Start,
}

impl Part {
    const ALL: [Self; 3] = [Self::Queue, Self::Schedule, Self::Start];
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Queue => "queue",
            Self::Schedule => "schedule",
            Self::Start => "start",
        })
    }
}

impl FromStr for Part {
    type Err = InvalidSubject;

    fn from_str(text: &str) -> Result<Self, InvalidSubject> {
        Self::ALL.into_iter().find(|part| part.to_string() == text).ok_or(InvalidSubject)
    }
}

/// Somebody at an issuer: only both together say who.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    issuer: Issuer,
    sub: String,
}

/// Text that names nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not of the form token:<token id>, oidc:<issuer>#<sub> or segue:<part>")]
pub struct InvalidSubject;

impl Identity {
    /// Characters of a `sub`, as `OpenID Connect` has it.
    pub const MAX_SUB: usize = 255;

    /// `None` if the `sub` is empty, longer than [`Identity::MAX_SUB`] characters, or has control characters,
    /// which would break the lines of an audit record.
    pub fn new(issuer: Issuer, sub: &str) -> Option<Self> {
        let fine = !sub.is_empty()
            && sub.chars().count() <= Self::MAX_SUB
            && !sub.chars().any(char::is_control);
        fine.then(|| Self { issuer, sub: sub.to_owned() })
    }

    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    pub fn sub(&self) -> &str {
        &self.sub
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#[sub]", self.issuer)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(id) => write!(f, "token:{id}"),
            Self::Oidc(Identity { issuer, sub }) => write!(f, "oidc:{issuer}#{sub}"),
            Self::Segue(part) => write!(f, "segue:{part}"),
        }
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(id) => write!(f, "token:{id}"),
            Self::Oidc(identity) => write!(f, "oidc:{identity:?}"),
            Self::Segue(part) => write!(f, "segue:{part}"),
        }
    }
}

impl FromStr for Subject {
    type Err = InvalidSubject;

    fn from_str(text: &str) -> Result<Self, InvalidSubject> {
        match text.split_once(':') {
            Some(("segue", part)) => part.parse().map(Self::Segue),
            Some(("token", id)) => id.parse().map(Self::Token).map_err(|_| InvalidSubject),
            Some(("oidc", rest)) => {
                // No issuer has a `#`, and a `sub` may: the first one is the border.
                let (issuer, sub) = rest.split_once('#').ok_or(InvalidSubject)?;
                let issuer = issuer.parse().map_err(|_| InvalidSubject)?;
                Identity::new(issuer, sub).map(Self::Oidc).ok_or(InvalidSubject)
            }
            _ => Err(InvalidSubject),
        }
    }
}

impl Serialize for Subject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Subject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::{Identity, InvalidSubject, Part, Principal, Subject};
    use crate::{Role, token::TokenId};

    fn at_issuer(sub: &str) -> Option<Subject> {
        Identity::new("https://id.example.com".parse().unwrap(), sub).map(Subject::Oidc)
    }

    proptest! {
        #[test]
        fn subjects_read_back(id: u128, sub in "[^\\p{C}]{1,40}") {
            let token = Subject::Token(TokenId::from_uuid(Uuid::from_u128(id)));
            for subject in [token, at_issuer(&sub).unwrap()] {
                prop_assert_eq!(subject.to_string().parse(), Ok(subject.clone()));
                let json = serde_json::to_string(&subject).unwrap();
                prop_assert_eq!(serde_json::from_str::<Subject>(&json).unwrap(), subject);
            }
        }
    }

    #[test]
    fn parts_of_segue_read_back() {
        for part in Part::ALL {
            let subject = Subject::Segue(part);
            assert_eq!(subject.to_string().parse(), Ok(subject));
        }
        assert_eq!("segue:else".parse::<Subject>(), Err(InvalidSubject));
    }

    #[test]
    fn a_sub_with_a_hash_sign_keeps_it() {
        let subject = at_issuer("a#b").unwrap();
        assert_eq!(subject.to_string(), "oidc:https://id.example.com#a#b");
        assert_eq!("oidc:https://id.example.com#a#b".parse(), Ok(subject));
    }

    #[test]
    fn a_sub_is_short_not_empty_and_one_line() {
        assert!(at_issuer(&"é".repeat(255)).is_some());
        for sub in ["", &"x".repeat(256), "a\nb", "a\u{85}b"] {
            assert_eq!(at_issuer(sub), None, "{sub:?}");
        }
    }

    #[test]
    fn other_text_names_nobody() {
        for text in [
            "",
            "token",
            "token:",
            "token:7",
            "Token:0000000000000000000007",
            "oidc:https://id.example.com",
            "oidc:https://id.example.com#",
            "oidc:http://id.example.com#ann",
            "oidc:#ann",
            "ann",
        ] {
            assert_eq!(text.parse::<Subject>(), Err(InvalidSubject), "{text}");
        }
    }

    #[test]
    fn debug_output_holds_neither_name_nor_sub() {
        let subject = at_issuer("ann@example.com").unwrap();
        let principal = Principal { subject, name: "Ann Example".to_owned(), role: Role::Viewer };
        let printed = format!("{principal:?}");
        assert!(printed.contains("id.example.com") && printed.contains("Viewer"), "{printed}");
        assert!(!printed.contains("ann@") && !printed.contains("Ann"), "{printed}");
    }

    #[test]
    fn a_principal_may_do_what_its_role_and_those_below_may() {
        let of = |role| Principal { subject: at_issuer("1").unwrap(), name: String::new(), role };
        for (at, has) in Role::ALL.into_iter().enumerate() {
            for (below, needs) in Role::ALL.into_iter().enumerate() {
                assert_eq!(of(has).require(needs).is_ok(), at >= below, "{has} for {needs}");
            }
        }
        let words = of(Role::Viewer).require(Role::Administrator).unwrap_err().to_string();
        assert!(words.contains("administrator") && words.contains("viewer"), "{words}");
    }
}
