use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use segue_model::{ContentHash, RunId};

/// What an object is, and so where it lies.
///
/// The text form is the path below the data folder, and what the store remembers. Only a text that a key
/// itself has written parses again, so a text from anywhere can never name a place outside the folder.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    /// A request body, named by its content: the same batch of a second reading is the same object, and
    /// the halves of a batch that was split need no number before they are staged.
    Body { run: RunId, hash: ContentHash },
    /// The [`Index`](crate::Index) of the body with this hash.
    Index { run: RunId, hash: ContentHash },
    /// [`RejectRecord`](crate::RejectRecord)s as lines.
    Rejects { run: RunId, name: ReportName },
    /// [`WarningRecord`](crate::WarningRecord)s as lines.
    Warnings { run: RunId, name: ReportName },
}

/// What distinguishes a report from others of its run, such as the claim that wrote it.
///
/// At most [`ReportName::MAX_LEN`] lower-case letters, digits, `-` and `_`: the same name on every file
/// system, also on those that ignore case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ReportName(String);

/// A text that is not a key or not a name. It is not repeated here: nobody knows what it holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not the name of a staged object")]
pub struct InvalidKey;

pub(crate) const STAGING: &str = "staging";
pub(crate) const REPORTS: &str = "reports";

impl Key {
    pub fn run(&self) -> RunId {
        match self {
            Self::Body { run, .. }
            | Self::Index { run, .. }
            | Self::Rejects { run, .. }
            | Self::Warnings { run, .. } => *run,
        }
    }

    pub(crate) fn is_report(&self) -> bool {
        match self {
            Self::Body { .. } | Self::Index { .. } => false,
            Self::Rejects { .. } | Self::Warnings { .. } => true,
        }
    }

    /// The hash that the content of a body must have.
    pub(crate) fn body_hash(&self) -> Option<ContentHash> {
        match self {
            Self::Body { hash, .. } => Some(*hash),
            Self::Index { .. } | Self::Rejects { .. } | Self::Warnings { .. } => None,
        }
    }

    pub(crate) fn path(&self, folder: &Path) -> PathBuf {
        folder.join(self.to_string())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body { run, hash } => write!(f, "{STAGING}/{run}/{hash}.body"),
            Self::Index { run, hash } => write!(f, "{STAGING}/{run}/{hash}.index"),
            Self::Rejects { run, name } => write!(f, "{REPORTS}/{run}/{name}.rejects"),
            Self::Warnings { run, name } => write!(f, "{REPORTS}/{run}/{name}.warnings"),
        }
    }
}

impl FromStr for Key {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let key = parse(text).ok_or(InvalidKey)?;
        // A UUID and a number can be written in several ways; only one is the object's name.
        if key.to_string() == text { Ok(key) } else { Err(InvalidKey) }
    }
}

fn parse(text: &str) -> Option<Key> {
    let mut parts = text.split('/');
    let (root, run, file) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let run = run.parse().ok()?;
    let (name, kind) = file.rsplit_once('.')?;
    let hash = || name.parse().ok();
    let report = || name.parse().ok();
    match (root, kind) {
        (STAGING, "body") => Some(Key::Body { run, hash: hash()? }),
        (STAGING, "index") => Some(Key::Index { run, hash: hash()? }),
        (REPORTS, "rejects") => Some(Key::Rejects { run, name: report()? }),
        (REPORTS, "warnings") => Some(Key::Warnings { run, name: report()? }),
        _ => None,
    }
}

impl ReportName {
    pub const MAX_LEN: usize = 100;

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ReportName {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
        let valid = (1..=Self::MAX_LEN).contains(&text.len()) && text.bytes().all(allowed);
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidKey) }
    }
}

impl fmt::Display for ReportName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{Key, ReportName};
    use proptest::prelude::*;
    use segue_model::{ContentHash, RunId};
    use std::path::{Component, Path};
    use uuid::Uuid;

    fn key() -> impl Strategy<Value = Key> {
        let name = "[a-z0-9_-]{1,100}".prop_map(|name| name.parse::<ReportName>().unwrap());
        (any::<u128>(), any::<u128>(), name, 0..4).prop_map(|(run, hash, name, kind)| {
            let (run, hash) = (RunId::from_uuid(Uuid::from_u128(run)), ContentHash(hash));
            match kind {
                0 => Key::Body { run, hash },
                1 => Key::Index { run, hash },
                2 => Key::Rejects { run, name },
                _ => Key::Warnings { run, name },
            }
        })
    }

    proptest! {
        #[test]
        fn text_form_reads_back(key in key()) {
            prop_assert_eq!(key.to_string().parse::<Key>(), Ok(key));
        }

        #[test]
        fn no_text_leads_out_of_the_folder(text in "(staging|reports|\\.\\.)?/?(run_[0-9a-f-]{0,36}|\\.\\.)?/?[a-z0-9./\\\\]{0,12}(\\.(body|rejects))?") {
            if let Ok(key) = text.parse::<Key>() {
                let path = key.path(Path::new("data"));
                prop_assert!(path.components().all(|part| matches!(part, Component::Normal(_))));
            }
        }
    }

    #[test]
    fn only_the_one_spelling_of_a_key_is_a_key() {
        let run = RunId::from_uuid(Uuid::from_u128(0xabc));
        let good = Key::Body { run, hash: ContentHash(7) }.to_string();
        assert!(good.parse::<Key>().is_ok());
        let hash = ContentHash(7).to_string();
        for bad in [
            good.to_uppercase(),
            good.replace(&hash, "7"),
            good.replace(&hash, "+7"),
            good.replace(&hash, &format!("0{hash}")),
            good.replace(&hash, &format!("../{hash}")),
            good.replace("abc", "ABC"),
            format!("/{good}"),
            format!("{good}/"),
            good.replace("staging", "reports"),
            format!("reports/{run}/..rejects"),
            format!("reports/{run}/../x.rejects"),
            format!("reports/{run}/a b.rejects"),
            format!("reports/{run}/{}.rejects", "a".repeat(101)),
        ] {
            assert!(bad.parse::<Key>().is_err(), "{bad}");
        }
    }
}
