use std::str::FromStr;

/// Why the message of a job is dead: nobody will deliver it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeathCause {
    /// It was delivered again and again, and whoever had it was gone before it was settled.
    Deliveries,
    /// No version can read it.
    Unreadable,
    /// It was written by a later version than any that has seen it.
    UnknownSchema,
}

impl DeathCause {
    pub const ALL: &'static [Self] = &[Self::Deliveries, Self::Unreadable, Self::UnknownSchema];

    pub fn name(self) -> &'static str {
        match self {
            Self::Deliveries => "deliveries",
            Self::Unreadable => "unreadable",
            Self::UnknownSchema => "unknown_schema",
        }
    }
}

impl FromStr for DeathCause {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.iter().find(|cause| cause.name() == name);
        known.copied().ok_or("no cause of death")
    }
}

#[cfg(test)]
mod tests {
    use super::DeathCause;

    #[test]
    fn every_cause_reads_back_as_itself() {
        for cause in DeathCause::ALL {
            assert_eq!(cause.name().parse(), Ok(*cause));
        }
        assert_eq!(DeathCause::Unreadable.name(), "unreadable");
        assert!("old age".parse::<DeathCause>().is_err());
    }
}
