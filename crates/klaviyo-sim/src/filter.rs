//! Klaviyo's filter language: `any(email,["a@example.com"]),greater-than(created,2026-01-01)`.

use crate::{clock, error::Refusal};

/// Conditions that all have to hold.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Filter(Vec<Condition>);

#[derive(Debug, PartialEq)]
pub(crate) struct Condition {
    pub(crate) field: String,
    pub(crate) test: Test,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Test {
    /// `any` and `equals`: one of these values.
    OneOf(Vec<String>),
    /// `greater-than` and its kin, against a time.
    Time(Order, clock::Millis),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

/// The operators each field takes, as the OpenAPI file lists them.
pub(crate) type Allowed = &'static [(&'static str, &'static [&'static str])];

impl Filter {
    /// Reads `filter`; without one everything passes. `any_max` is the most values `any` takes.
    pub(crate) fn parse(
        expression: Option<&str>,
        allowed: Allowed,
        any_max: Option<usize>,
    ) -> Result<Self, Refusal> {
        let Some(expression) = expression else { return Ok(Self::default()) };
        let invalid = || Refusal::parameter("filter", "Invalid filter provided");
        let calls = Parser { rest: expression }.calls().ok_or_else(invalid)?;
        let mut conditions = Vec::with_capacity(calls.len());
        for Call { operator, field, values } in calls {
            let operators = allowed.iter().find(|(name, _)| *name == field).map(|(_, ops)| *ops);
            if !operators.is_some_and(|operators| operators.contains(&operator.as_str())) {
                return Err(invalid());
            }
            if any_max.is_some_and(|max| values.len() > max) {
                return Err(Refusal::parameter("filter", "Too many values in filter"));
            }
            let test = test(&operator, values).ok_or_else(invalid)?;
            conditions.push(Condition { field, test });
        }
        Ok(Self(conditions))
    }

    pub(crate) fn conditions(&self) -> &[Condition] {
        &self.0
    }

    /// Whether one thing passes; `text` and `time` give its fields.
    pub(crate) fn matches<'a>(
        &self,
        text: impl Fn(&str) -> Option<&'a str>,
        time: impl Fn(&str) -> clock::Millis,
    ) -> bool {
        self.0.iter().all(|Condition { field, test }| match test {
            Test::OneOf(values) => {
                text(field).is_some_and(|text| values.iter().any(|value| value == text))
            }
            Test::Time(order, bound) => order.holds(time(field), *bound),
        })
    }
}

impl Order {
    pub(crate) fn holds(self, value: clock::Millis, bound: clock::Millis) -> bool {
        match self {
            Self::Greater => value > bound,
            Self::GreaterOrEqual => value >= bound,
            Self::Less => value < bound,
            Self::LessOrEqual => value <= bound,
        }
    }
}

fn test(operator: &str, values: Values) -> Option<Test> {
    let order = match (operator, values) {
        ("any", Values::List(values)) => return Some(Test::OneOf(values)),
        // Klaviyo's own example quotes a list in `equals(name,['example'])`.
        ("equals", Values::List(values)) if values.len() == 1 => return Some(Test::OneOf(values)),
        ("equals", Values::Text(value)) => return Some(Test::OneOf(vec![value])),
        ("greater-than", value) => (Order::Greater, value),
        ("greater-or-equal", value) => (Order::GreaterOrEqual, value),
        ("less-than", value) => (Order::Less, value),
        ("less-or-equal", value) => (Order::LessOrEqual, value),
        _ => return None,
    };
    let (order, Values::Bare(text) | Values::Text(text)) = order else { return None };
    Some(Test::Time(order, clock::parse_time(&text)?))
}

struct Call {
    operator: String,
    field: String,
    values: Values,
}

#[derive(Debug)]
enum Values {
    Text(String),
    List(Vec<String>),
    /// Not quoted: a time, never a string.
    Bare(String),
}

impl Values {
    fn len(&self) -> usize {
        if let Self::List(values) = self { values.len() } else { 1 }
    }
}

struct Parser<'a> {
    rest: &'a str,
}

impl Parser<'_> {
    fn calls(mut self) -> Option<Vec<Call>> {
        let mut calls = vec![self.call()?];
        while self.take(',') {
            calls.push(self.call()?);
        }
        self.rest.trim().is_empty().then_some(calls)
    }

    fn call(&mut self) -> Option<Call> {
        let operator = self.until('(')?;
        let field = self.until(',')?;
        let values = if self.take('[') {
            let mut values = vec![self.quoted()?];
            while self.take(',') {
                values.push(self.quoted()?);
            }
            self.take(']').then_some(Values::List(values))?
        } else if self.rest.trim_start().starts_with(['"', '\'']) {
            Values::Text(self.quoted()?)
        } else {
            let end = self.rest.find(')')?;
            let (bare, rest) = self.rest.split_at(end);
            self.rest = rest;
            Values::Bare(bare.trim().to_owned())
        };
        self.take(')').then_some(Call { operator, field, values })
    }

    fn until(&mut self, end: char) -> Option<String> {
        let (word, rest) = self.rest.split_once(end)?;
        self.rest = rest;
        let word = word.trim();
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-.".contains(letter);
        (!word.is_empty() && word.chars().all(plain)).then(|| word.to_owned())
    }

    fn take(&mut self, expected: char) -> bool {
        let Some(rest) = self.rest.trim_start().strip_prefix(expected) else { return false };
        self.rest = rest;
        true
    }

    /// A string in single or double quotes; a backslash takes the next letter as it is.
    fn quoted(&mut self) -> Option<String> {
        let text = self.rest.trim_start();
        let quote = text.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
        let mut value = String::new();
        let mut letters = text[1..].char_indices();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '\\' => value.push(letters.next()?.1),
                _ if letter == quote => {
                    self.rest = &text[1 + at + 1..];
                    return Some(value);
                }
                _ => value.push(letter),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{Allowed, Filter, Order, Test};

    const ALLOWED: Allowed =
        &[("email", &["any", "equals"]), ("created", &["greater-than", "less-than"])];

    fn parse(text: &str) -> Option<Filter> {
        Filter::parse(Some(text), ALLOWED, Some(3)).ok()
    }

    fn tests(text: &str) -> Vec<Test> {
        parse(text).unwrap().0.into_iter().map(|condition| condition.test).collect()
    }

    #[test]
    fn comma_joins_conditions() {
        let two = tests(
            r#"any(email,["a@example.com","b@example.com"]),greater-than(created,2026-01-01T00:00:00Z)"#,
        );
        assert_eq!(
            two,
            [
                Test::OneOf(vec!["a@example.com".into(), "b@example.com".into()]),
                Test::Time(Order::Greater, 1_767_225_600_000),
            ]
        );
    }

    #[test]
    fn quotes_and_backslashes_are_escaped_with_a_backslash() {
        let test = tests(r#"equals(email,"a\"b\\c)@example.com")"#);
        assert_eq!(test, [Test::OneOf(vec![r#"a"b\c)@example.com"#.into()])]);
    }

    #[test]
    fn unquoted_strings_unknown_fields_and_operators_are_refused() {
        for bad in [
            "equals(email,a@example.com)",
            "any(email,\"a@example.com\")",
            "equals(name,\"x\")",
            "contains(email,\"x\")",
            "equals(email,\"x\"",
            "equals(email,\"x\") or",
            "any(email,[])",
            "greater-than(created,\"soon\")",
            "",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn more_values_than_any_takes_are_refused() {
        assert!(parse(r#"any(email,["1","2","3"])"#).is_some());
        assert!(parse(r#"any(email,["1","2","3","4"])"#).is_none());
    }
}
