//! Pages of collections, by cursor.

use crate::{error::Refusal, opaque, query::Query};

/// Which page is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Page {
    size: usize,
    /// The position of the last item of the page before.
    pub(crate) after: Option<u64>,
}

impl Page {
    pub(crate) fn read(query: &Query, default: usize, max: usize) -> Result<Self, Refusal> {
        let size = query.page_size(default, max)?;
        let after =
            match query.get("page[cursor]") {
                None | Some("") => None,
                Some(cursor) => Some(position(cursor).ok_or_else(|| {
                    Refusal::parameter("page[cursor]", "Invalid cursor provided.")
                })?),
            };
        Ok(Self { size, after })
    }

    /// The items of this page, out of those after the page before, and the cursor of the next one.
    pub(crate) fn take<T>(
        self,
        items: impl IntoIterator<Item = (u64, T)>,
    ) -> (Vec<T>, Option<String>) {
        let mut items = items.into_iter();
        let mut last = 0;
        let page = items.by_ref().take(self.size).map(|(position, item)| {
            last = position;
            item
        });
        let page: Vec<T> = page.collect();
        let next = items.next().map(|_| cursor(last));
        (page, next)
    }

    /// The first position that is not on a page before, in a collection that counts upwards.
    pub(crate) fn first(self) -> u64 {
        self.after.map_or(0, |after| after.saturating_add(1))
    }
}

fn cursor(position: u64) -> String {
    opaque::encode(format!("after::{position}").as_bytes())
}

fn position(cursor: &str) -> Option<u64> {
    let text = String::from_utf8(opaque::decode(cursor)?).ok()?;
    text.strip_prefix("after::")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::Page;
    use crate::query::Query;

    #[test]
    fn pages_end_where_the_items_end() {
        let mut query = Query::parse(Some("page[size]=2"));
        let mut seen = Vec::new();
        for _ in 0..3 {
            let page = Page::read(&query, 20, 100).unwrap();
            let (items, next) = page.take((page.first()..6).map(|n| (n, n)));
            seen.push(items);
            let Some(next) = next else { break };
            query = Query::parse(Some(&query.with_cursor(&next)));
        }
        assert_eq!(seen, [vec![0, 1], vec![2, 3], vec![4, 5]]);
        assert!(Page::read(&Query::parse(Some("page[cursor]=abc")), 20, 100).is_err());
    }
}
