use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What somebody may do. Each role may do all that the ones before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sees exports and runs.
    Viewer,
    /// Makes and runs exports, sees connections and rejected rows, which are personal data.
    Contributor,
    /// Decides about connections, tokens and what concerns everybody.
    Administrator,
}

/// A word that names no role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a role: the roles are viewer, contributor and administrator")]
pub struct UnknownRole;

impl Role {
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Contributor, Self::Administrator];

    /// The word on the wire, in the store and in configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Contributor => "contributor",
            Self::Administrator => "administrator",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or(UnknownRole)
    }
}

#[cfg(test)]
mod tests {
    use super::{Role, UnknownRole};

    #[test]
    fn each_role_may_do_more_than_the_one_before() {
        assert!(Role::Viewer < Role::Contributor && Role::Contributor < Role::Administrator);
        assert!(Role::ALL.is_sorted());
    }

    #[test]
    fn words_read_back_and_serde_uses_the_same_ones() {
        for role in Role::ALL {
            assert_eq!(role.to_string().parse(), Ok(role));
            assert_eq!(serde_json::to_value(role).unwrap(), role.as_str());
            assert_eq!(serde_json::from_value::<Role>(role.as_str().into()).unwrap(), role);
        }
    }

    #[test]
    fn other_words_are_refused_with_the_list_of_roles() {
        for word in ["", "Viewer", "admin", "viewer "] {
            assert_eq!(word.parse::<Role>(), Err(UnknownRole), "{word}");
        }
        let words = UnknownRole.to_string();
        assert!(Role::ALL.iter().all(|role| words.contains(role.as_str())), "{words}");
    }
}
