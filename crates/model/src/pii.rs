use std::fmt;

/// Personal data. Formatting prints a marker, so that a log macro cannot leak it by accident.
///
/// There is no `Display`: `%email` does not compile. Search for `expose` to review every use.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pii<T>(T);

impl<T> Pii<T> {
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself: for a request body or for a report that the user asked for, nothing else.
    pub fn expose(&self) -> &T {
        &self.0
    }

    pub fn into_exposed(self) -> T {
        self.0
    }
}

impl<T> fmt::Debug for Pii<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[personal data]")
    }
}

#[cfg(test)]
mod tests {
    use super::Pii;

    #[test]
    fn debug_output_holds_no_personal_data() {
        let text = format!("{:?}", Some(Pii::new("ann@example.com")));
        assert_eq!(text, "Some([personal data])");
    }
}
