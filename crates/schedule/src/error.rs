/// Why something is not a schedule. `Display` names the field, the value and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {value:?} {problem}")]
pub struct InvalidSchedule {
    /// As in the JSON form: `at`, `on`, `cron` or `time_zone`; `schedule` if the kind is not clear.
    pub field: &'static str,
    /// What was given, its beginning if it is long.
    pub value: String,
    /// What is wrong with it and what to write, to be read after the value.
    pub problem: String,
}

impl InvalidSchedule {
    /// Of the value, in characters: it ends up in logs and on screens.
    const LONGEST: usize = 100;

    pub(crate) fn new(field: &'static str, value: &str, problem: impl Into<String>) -> Self {
        let mut shown: String = value.chars().take(Self::LONGEST).collect();
        if shown.len() < value.len() {
            shown.push('…');
        }
        Self { field, value: shown, problem: problem.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::InvalidSchedule;

    #[test]
    fn a_long_value_is_shown_up_to_a_limit() {
        let error = InvalidSchedule::new("cron", &"é".repeat(101), "is long");
        assert_eq!(error.value, format!("{}…", "é".repeat(100)));
        assert_eq!(InvalidSchedule::new("cron", &"é".repeat(100), "").value, "é".repeat(100));
    }
}
