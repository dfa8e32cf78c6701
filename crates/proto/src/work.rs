//! What control-plane and workers say to each other.

mod answer;
mod claim;
mod stage;
mod sweep;
#[cfg(test)]
mod tests;
mod verdict;

pub use claim::JOB_SCHEMA;
use segue_model::work::{JobKind, Next, Slots};
pub use stage::segments_found;

use crate::{Invalid, v1};

impl From<JobKind> for v1::JobKind {
    fn from(kind: JobKind) -> Self {
        match kind {
            JobKind::Read => Self::Read,
            JobKind::Upload => Self::Upload,
            JobKind::Confirm => Self::Confirm,
            JobKind::Look => Self::Look,
        }
    }
}

impl TryFrom<v1::JobKind> for JobKind {
    type Error = Invalid;

    fn try_from(kind: v1::JobKind) -> Result<Self, Invalid> {
        match kind {
            v1::JobKind::Unspecified => Err(Invalid::new("kind", "is missing")),
            v1::JobKind::Read => Ok(Self::Read),
            v1::JobKind::Upload => Ok(Self::Upload),
            v1::JobKind::Confirm => Ok(Self::Confirm),
            v1::JobKind::Look => Ok(Self::Look),
        }
    }
}

/// Slots by kind.
pub fn slots(slots: Slots) -> Vec<v1::Slots> {
    let Slots { read, upload, confirm, look } = slots;
    let mut known =
        vec![(JobKind::Read, read), (JobKind::Upload, upload), (JobKind::Confirm, confirm)];
    // Left out where there are none, as a worker of an earlier version says it.
    known.extend((look > 0).then_some((JobKind::Look, look)));
    let message = |(kind, count)| v1::Slots { kind: v1::JobKind::from(kind).into(), count };
    known.into_iter().map(message).collect()
}

/// The reverse of [`slots`]. Kinds that this version does not know are nobody's slots here.
pub fn counted(slots: &[v1::Slots]) -> Slots {
    let mut counted = Slots::default();
    for slot in slots {
        match slot.kind() {
            v1::JobKind::Unspecified => {}
            v1::JobKind::Read => counted.read = slot.count,
            v1::JobKind::Upload => counted.upload = slot.count,
            v1::JobKind::Confirm => counted.confirm = slot.count,
            v1::JobKind::Look => counted.look = slot.count,
        }
    }
    counted
}

impl From<Next> for v1::Next {
    fn from(next: Next) -> Self {
        match next {
            Next::GoOn => Self::GoOn,
            Next::Stop => Self::Stop,
        }
    }
}

impl TryFrom<v1::Next> for Option<Next> {
    type Error = Invalid;

    /// `None`: not yet, ask again.
    fn try_from(next: v1::Next) -> Result<Self, Invalid> {
        match next {
            v1::Next::Unspecified => Err(Invalid::new("next", "is missing")),
            v1::Next::GoOn => Ok(Some(Next::GoOn)),
            v1::Next::Stop => Ok(Some(Next::Stop)),
            v1::Next::Later => Ok(None),
        }
    }
}
