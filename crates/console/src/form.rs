use url::form_urlencoded;

/// What somebody has sent with a form, or behind the `?` of an address. Names may come several times.
#[derive(Debug, Clone, Default)]
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    /// Whatever it is, it is read as far as it makes sense.
    pub(crate) fn parse(encoded: &[u8]) -> Self {
        Self(form_urlencoded::parse(encoded).into_owned().collect())
    }

    /// The first value, without spaces around it; empty if there is none.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.values(name).next().unwrap_or_default()
    }

    /// The first value, if it is not empty.
    pub(crate) fn given(&self, name: &str) -> Option<&str> {
        Some(self.text(name)).filter(|text| !text.is_empty())
    }

    /// All values, without spaces around them.
    pub(crate) fn values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(found, _)| found == name).map(|(_, value)| value.trim())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(found, _)| found == name)
    }

    /// Each line of a value that is not empty.
    pub(crate) fn lines(&self, name: &str) -> Vec<String> {
        let lines = self.text(name).lines().map(str::trim);
        lines.filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }
}

/// An address on this console with what stands behind its `?`; what is empty is left out.
pub(crate) fn address(path: &str, query: &[(&str, &str)]) -> String {
    let mut encoded = form_urlencoded::Serializer::new(String::new());
    for (name, value) in query.iter().filter(|(_, value)| !value.is_empty()) {
        encoded.append_pair(name, value);
    }
    match encoded.finish() {
        query if query.is_empty() => path.to_owned(),
        query => format!("{path}?{query}"),
    }
}

/// Somewhere on this console, or empty: nobody is sent elsewhere by a link that somebody else has made.
pub(crate) fn own_place(wanted: &str) -> &str {
    let is_here = wanted.starts_with('/')
        && !wanted.starts_with("//")
        && !wanted.contains('\\')
        && !wanted.chars().any(char::is_control);
    if is_here { wanted } else { "" }
}

#[cfg(test)]
mod tests {
    use super::{Form, address, own_place};

    #[test]
    fn only_places_of_this_console_are_gone_to() {
        assert_eq!(own_place("/runs?state=failed"), "/runs?state=failed");
        let elsewhere =
            ["//evil.example", "https://evil.example", "/\\evil.example", "evil", "", "/\t/x"];
        for elsewhere in elsewhere {
            assert_eq!(own_place(elsewhere), "", "{elsewhere}");
        }
    }

    #[test]
    fn form_is_read_with_repeated_names_and_lines() {
        let form = Form::parse(b"a=+x+&on=1&on=2&lines=one%0D%0A%0D%0A++two%0A&%ff=%ff&empty=");
        assert_eq!(form.text("a"), "x");
        assert_eq!(form.values("on").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(form.lines("lines"), ["one", "two"]);
        assert!(form.has("empty") && form.given("empty").is_none() && form.text("none").is_empty());
    }

    #[test]
    fn address_keeps_what_it_is_given_apart() {
        let made = address("/runs", &[("state", ""), ("page", "a&b=c?/#é")]);
        assert_eq!(made, "/runs?page=a%26b%3Dc%3F%2F%23%C3%A9");
        let (_, query) = made.split_once('?').unwrap();
        assert_eq!(Form::parse(query.as_bytes()).text("page"), "a&b=c?/#é");
        assert_eq!(address("/runs", &[]), "/runs");
    }
}
