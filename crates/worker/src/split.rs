//! A batch that Klaviyo does not take whole becomes two.

use bytes::Bytes;
use segue_model::{ContentHash, RunId, work::Child};
use segue_staging::{Hashed, IndexBuilder, IndexEntry, Key, Staging};

use crate::{ControlPlane, error::Failure, upload::Upload, worker::Shared};

/// One half, ready to be staged.
pub(crate) struct Half {
    body: Bytes,
    index: Bytes,
    profiles: u64,
}

impl Half {
    /// The part of a batch that holds these entries of its index.
    pub(crate) fn cut<C: ControlPlane>(upload: &Upload<'_, C>, entries: &[IndexEntry]) -> Self {
        let body = upload.body_of(entries);
        let mut index = IndexBuilder::with_capacity(entries.len());
        let mut offset = u32::try_from(upload.start).unwrap_or(u32::MAX);
        for entry in entries {
            index.push(IndexEntry { offset, ..*entry });
            offset += entry.len + 1; // and the separator
        }
        Self { body, index: index.finish(), profiles: entries.len() as u64 }
    }
}

/// Puts both halves where they outlive this process: unlike what the reader cuts, a half cannot be made
/// again by reading the source.
pub(crate) async fn stage<C: ControlPlane>(
    shared: &Shared<C>,
    run: RunId,
    halves: [Half; 2],
) -> Result<[Child; 2], Failure> {
    let mut children = [Child { hash: ContentHash(0), profiles: 0, bytes: 0 }; 2];
    for (half, child) in halves.into_iter().zip(&mut children) {
        let body = Hashed::from(half.body);
        let (hash, bytes) = (body.hash(), body.bytes().len() as u64);
        *child = Child { hash, profiles: half.profiles, bytes };
        let put = move |staging: &Staging| {
            staging.put_on_disk(&Key::Index { run, hash }, half.index)?;
            staging.put_on_disk(&Key::Body { run, hash }, body)
        };
        shared.staging.off_thread(put).await?;
    }
    Ok(children)
}
