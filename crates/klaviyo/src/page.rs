use std::fmt;

use serde::{Deserialize, Serialize};

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
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cursor(..)")
    }
}
