use std::{fmt, marker::PhantomData, str::FromStr};

use uuid::Uuid;

/// What an id names; its prefix is part of the text form.
pub trait Kind {
    const PREFIX: &'static str;
}

/// A UUID that knows what it names: `job_0198…` parses as a [`JobId`], never as a [`RunId`].
///
/// `Display` writes `{PREFIX}_{uuid}`; logs, messages, the store and support tickets use that form.
pub struct Id<K> {
    uuid: Uuid,
    kind: PhantomData<fn() -> K>,
}

/// Text that is not an id of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an id of the form {expected}_<uuid>")]
pub struct InvalidId {
    pub expected: &'static str,
}

macro_rules! kinds {
    ($($(#[$meta:meta])* $kind:ident $alias:ident $prefix:literal;)*) => {$(
        #[derive(Debug)]
        pub enum $kind {}
        impl Kind for $kind {
            const PREFIX: &'static str = $prefix;
        }
        $(#[$meta])*
        pub type $alias = Id<$kind>;
    )*};
}

kinds! {
    /// One execution of an export.
    Run RunId "run";
    /// One message of work: read, upload, confirm or look.
    Job JobId "job";
    /// A worker's hold on a job.
    Claim ClaimId "clm";
    /// Leave to make one Klaviyo call.
    Permit PermitId "pmt";
    /// Who may speak to a Klaviyo account, and with which key.
    Connection ConnectionId "con";
    /// What goes where: a segment, a mapping and a list.
    Export ExportId "exp";
    /// A named place where segments are found.
    Source SourceId "src";
    /// A question that a worker answers for somebody who waits.
    Look LookId "look";
    /// A message that nobody will deliver again, as it is written down.
    DeadJob DeadJobId "dead";
}

impl<K> Id<K> {
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self { uuid, kind: PhantomData }
    }

    pub const fn uuid(self) -> Uuid {
        self.uuid
    }
}

impl<K: Kind> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", K::PREFIX, self.uuid)
    }
}

impl<K: Kind> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<K: Kind> FromStr for Id<K> {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        text.strip_prefix(K::PREFIX)
            .and_then(|rest| rest.strip_prefix('_'))
            .and_then(|uuid| Uuid::try_parse(uuid).ok())
            .map(Self::from_uuid)
            .ok_or(InvalidId { expected: K::PREFIX })
    }
}

impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Id<K> {}
impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.uuid == other.uuid
    }
}
impl<K> Eq for Id<K> {}
impl<K> std::hash::Hash for Id<K> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.uuid.hash(state);
    }
}
impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.uuid.cmp(&other.uuid)
    }
}

impl<K: Kind> serde::Serialize for Id<K> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, K: Kind> serde::Deserialize<'de> for Id<K> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{JobId, RunId};
    use uuid::Uuid;

    #[test]
    fn text_form_reads_back() {
        let id = RunId::from_uuid(Uuid::from_u128(7));
        assert_eq!(id.to_string().parse::<RunId>(), Ok(id));
        assert_eq!(format!("{id:?}"), id.to_string());
    }

    #[test]
    fn ids_are_told_apart_and_ordered_by_their_uuids() {
        let [one, two] = [1, 2].map(|n| RunId::from_uuid(Uuid::from_u128(n)));
        assert_ne!(one, two);
        assert_eq!(one.partial_cmp(&two), Some(std::cmp::Ordering::Less));
        // Equal hashes would make every map of ids a list.
        let state = std::hash::RandomState::new();
        let hashes: HashSet<u64> = (0..100)
            .map(|n| std::hash::BuildHasher::hash_one(&state, RunId::from_uuid(Uuid::from_u128(n))))
            .collect();
        assert_eq!(hashes.len(), 100);
    }

    #[test]
    fn foreign_prefix_is_refused() {
        let id = RunId::from_uuid(Uuid::from_u128(7)).to_string();
        assert_eq!(id.parse::<JobId>().unwrap_err().expected, "job");
    }
}
