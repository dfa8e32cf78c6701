//! Pages: so many at a time, from behind the last one that was seen.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use segue_model::{Id, Kind};
use tonic::Status;

use super::errors::invalid;
use crate::Violation;

const DEFAULT_SIZE: i32 = 100;
const LARGEST_SIZE: i32 = 1000;
/// The form of the tokens.
const VERSION: &str = "1 ";
/// A page ends when it has come to so many bytes: clients take messages of 4 MiB unless told otherwise.
const FULL_BYTES: usize = 2 << 20;
/// Rows that are read at once.
const CHUNK: usize = 100;

/// Which page is wanted.
pub(super) struct Page<K> {
    size: usize,
    after: Option<Id<K>>,
}

impl<K: Kind> Page<K> {
    pub(super) fn wanted(size: i32, token: &str) -> Result<Self, Status> {
        let size = match size {
            ..0 => Err(Violation::new("page_size", "is negative")),
            0 => Ok(DEFAULT_SIZE),
            size => Ok(size.min(LARGEST_SIZE)),
        };
        match (size, parse(token)) {
            (Ok(size), Ok(after)) => {
                Ok(Self { size: usize::try_from(size).unwrap_or_default(), after })
            }
            (size, after) => {
                let token =
                    Violation::new("page_token", "is not one that was given out for this list");
                let token = after.is_err().then_some(token);
                Err(invalid(size.err().into_iter().chain(token).collect()))
            }
        }
    }

    /// Reads the page by `read`, which gives at most so many items behind a place; returns it together with
    /// the token of the next one.
    pub(super) async fn read<T, F>(
        &self,
        read: impl Fn(Option<Id<K>>, u32) -> F,
        id: impl Fn(&T) -> Id<K>,
        bytes: impl Fn(&T) -> usize,
    ) -> Result<(Vec<T>, String), Status>
    where
        F: Future<Output = Result<Vec<T>, Status>>,
    {
        let (mut items, mut total, mut after) = (Vec::new(), 0, self.after);
        loop {
            // One more tells whether there is another page.
            let most = (self.size + 1 - items.len()).min(CHUNK);
            let chunk = read(after, u32::try_from(most).unwrap_or(1)).await?;
            let last = chunk.len() < most;
            for item in chunk {
                let more = bytes(&item);
                if items.len() == self.size || (!items.is_empty() && total + more > FULL_BYTES) {
                    return Ok((items, after.map(token).unwrap_or_default()));
                }
                total += more;
                after = Some(id(&item));
                items.push(item);
            }
            if last {
                return Ok((items, String::new()));
            }
        }
    }
}

fn token<K: Kind>(last: Id<K>) -> String {
    BASE64.encode(format!("{VERSION}{last}"))
}

/// A token that was not given out for this kind of list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Broken;

/// The place behind which a page begins; `None`: the beginning.
fn parse<K: Kind>(token: &str) -> Result<Option<Id<K>>, Broken> {
    if token.is_empty() {
        return Ok(None);
    }
    let bytes = BASE64.decode(token).map_err(|_| Broken)?;
    let text = String::from_utf8(bytes).map_err(|_| Broken)?;
    let id = text.strip_prefix(VERSION).ok_or(Broken)?;
    id.parse().map(Some).map_err(|_| Broken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use segue_model::{ConnectionId, Id, RunId};
    use uuid::Uuid;

    use base64::Engine as _;

    use super::{BASE64, Broken, Page, parse, token};

    fn id(n: u128) -> ConnectionId {
        Id::from_uuid(Uuid::from_u128(n))
    }

    /// Reads all of `count` items of so many bytes, page by page; returns the sizes of the pages.
    async fn pages(count: u128, size: i32, bytes: usize) -> Vec<usize> {
        let (mut seen, mut next, mut sizes) = (Vec::new(), String::new(), Vec::new());
        loop {
            let page = Page::wanted(size, &next).unwrap();
            let read = |after: Option<ConnectionId>, most: u32| async move {
                let first = after.map_or(0, |id| id.uuid().as_u128() + 1);
                Ok((first..count).map(id).take(most as usize).collect())
            };
            let (items, token) = page.read(read, |id| *id, |_| bytes).await.unwrap();
            sizes.push(items.len());
            seen.extend(items);
            if token.is_empty() {
                assert_eq!(seen, (0..count).map(id).collect::<Vec<_>>());
                return sizes;
            }
            next = token;
        }
    }

    #[tokio::test]
    async fn every_item_is_on_one_page() {
        assert_eq!(pages(0, 10, 1).await, [0]);
        assert_eq!(pages(10, 10, 1).await, [10]);
        assert_eq!(pages(11, 10, 1).await, [10, 1]);
        assert_eq!(pages(250, 0, 1).await, [100, 100, 50]);
        assert_eq!(pages(2001, 5000, 1).await, [1000, 1000, 1]);
        assert_eq!(pages(5, 10, 1 << 20).await, [2, 2, 1]);
        assert_eq!(pages(3, 10, 5 << 20).await, [1, 1, 1]);
    }

    #[test]
    fn token_of_another_list_is_refused() {
        let run: RunId = Id::from_uuid(Uuid::from_u128(1));
        let broken = ["x", "====", &token(run), &BASE64.encode("2 con_1"), &BASE64.encode("1 ")];
        for broken in broken {
            let parsed: Result<Option<ConnectionId>, Broken> = parse(broken);
            assert!(parsed.is_err(), "{broken}");
        }
        assert_eq!(parse(&token(id(7))), Ok(Some(id(7))));
    }

    proptest! {
        #[test]
        fn no_token_breaks_the_reader(text in ".{0,80}") {
            let parsed: Result<Option<ConnectionId>, Broken> = parse(&text);
            if let Ok(Some(after)) = parsed {
                prop_assert_eq!(token(after), text);
            }
        }
    }
}
