use crate::error::Refusal;

/// The query parameters of one request, decoded.
#[derive(Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(query: Option<&str>) -> Self {
        let pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        Self(pairs.into_owned().collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether a comma-separated parameter such as `include` names `value`.
    pub(crate) fn names(&self, parameter: &str, value: &str) -> bool {
        self.get(parameter).is_some_and(|list| list.split(',').any(|item| item.trim() == value))
    }

    /// The fields a sparse fieldset keeps, or `None` for all.
    pub(crate) fn fields(&self, resource: &str) -> Option<Vec<&str>> {
        let list = self.get(&format!("fields[{resource}]"))?;
        Some(list.split(',').map(str::trim).filter(|field| !field.is_empty()).collect())
    }

    /// `page[size]`, from 1 to `max`.
    pub(crate) fn page_size(&self, default: usize, max: usize) -> Result<usize, Refusal> {
        let Some(text) = self.get("page[size]") else { return Ok(default) };
        match text.parse() {
            Ok(size) if (1..=max).contains(&size) => Ok(size),
            _ => Err(Refusal::parameter(
                "page[size]",
                format!("Page size must be an integer between 1 and {max}."),
            )),
        }
    }

    /// `sort`, which has to be one of `allowed`.
    pub(crate) fn sort(&self, allowed: &[&str]) -> Result<Option<&str>, Refusal> {
        match self.get("sort") {
            Some(sort) if !allowed.contains(&sort) => {
                Err(Refusal::parameter("sort", "Invalid sort provided."))
            }
            sort => Ok(sort),
        }
    }

    /// The query string without `page[cursor]`, and with `cursor` in its place.
    pub(crate) fn with_cursor(&self, cursor: &str) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.0.iter().filter(|(key, _)| key != "page[cursor]"));
        query.append_pair("page[cursor]", cursor);
        query.finish()
    }
}

/// Bytes that do not decode to UTF-8 become replacement characters: no id has those.
pub(crate) fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = match (first, tail) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)),
            _ => None,
        };
        if let Some((high, low)) = escaped {
            bytes.push(high << 4 | low);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::{Query, percent_decode};

    #[test]
    fn page_size_outside_of_its_range_is_refused() {
        let size = |text: &str| Query::parse(Some(text)).page_size(10, 10).ok();
        assert_eq!(size(""), Some(10));
        assert_eq!(size("page%5Bsize%5D=3"), Some(3));
        for bad in ["page[size]=0", "page[size]=11", "page[size]=x"] {
            assert_eq!(size(bad), None, "{bad}");
        }
    }

    #[test]
    fn broken_escapes_stay_as_they_are() {
        assert_eq!(percent_decode("a%2Fb%3d%3D"), "a/b==");
        assert_eq!(percent_decode("100%, %4"), "100%, %4");
    }
}
