use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use url::Url;

use crate::List;

/// One page of a collection. The next one is another call, and needs another permit.
#[derive(Debug, Clone)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// `None` on the last page.
    pub next: Option<Cursor>,
}

/// Where the next page is: Klaviyo's `links.next`, sent back unchanged.
///
/// It may hold the filter of the first page, and with it addresses, so `Debug` prints a marker. It
/// can be stored; where it leads is checked each time it is used, since a call carries the key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(String);

impl Cursor {
    pub(crate) fn new(link: String) -> Self {
        Self(link)
    }

    pub(crate) fn link(&self) -> &str {
        &self.0
    }

    /// The place alone, without where it is.
    pub(crate) fn position(&self) -> Option<Position> {
        let url = Url::parse(&self.0).ok()?;
        let mut query = url.query_pairs();
        let (_, cursor) = query.find(|(name, _)| name == "page[cursor]")?;
        cursor.parse().ok()
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cursor(..)")
    }
}

/// A page of lists, and the place behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListsPage {
    pub lists: Vec<List>,
    /// `None` on the last page.
    pub next: Option<Position>,
}

/// A place in a collection: what Klaviyo calls `page[cursor]`.
///
/// Unlike a [`Cursor`] it names neither host nor endpoint, so it may go through the hands of strangers: whatever
/// comes back is the value of one parameter of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position(String);

/// Text that no cursor of Klaviyo's can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor: 1 to {MAX_POSITION_BYTES} printable ASCII characters, no spaces")]
pub struct InvalidPosition;

/// Klaviyo's have some 30 characters today and no published limit; this only keeps a URL from growing without bound.
const MAX_POSITION_BYTES: usize = 1024;

impl Position {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Position {
    type Err = InvalidPosition;
    fn from_str(text: &str) -> Result<Self, InvalidPosition> {
        let fits = (1..=MAX_POSITION_BYTES).contains(&text.len());
        let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
        if fits && printable { Ok(Self(text.to_owned())) } else { Err(InvalidPosition) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Cursor, Position};

    fn position(link: &str) -> Option<String> {
        Cursor::new(link.to_owned()).position().map(|it| it.as_str().to_owned())
    }

    #[test]
    fn position_is_the_cursor_of_a_link_and_nothing_else_of_it() {
        let link = "https://a.klaviyo.com/api/lists?sort=name&page%5Bcursor%5D=bmV4dA%3D%3D&x=1";
        assert_eq!(position(link).as_deref(), Some("bmV4dA=="));
        assert_eq!(
            position("https://a.klaviyo.com/api/lists?page[cursor]=abc").as_deref(),
            Some("abc")
        );
        for link in
            ["", "/api/lists?page[cursor]=x", "https://a.klaviyo.com/api/lists?page[size]=1"]
        {
            assert_eq!(position(link), None, "{link}");
        }
    }

    #[test]
    fn what_no_cursor_can_be_is_no_position() {
        for text in ["", "a b", "a\n", "ä", &"x".repeat(1025)] {
            assert!(text.parse::<Position>().is_err(), "{text:?}");
        }
    }
}
