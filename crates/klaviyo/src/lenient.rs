use serde::{Deserialize, Deserializer, de::IgnoredAny};

/// A member that may be absent, null or of another type than promised; all three are `None`.
///
/// For what is only shown or counted. An answer that is right about an id and odd about a time must
/// not be thrown away: behind it there is a job that runs.
pub(crate) struct Lenient<T>(pub(crate) Option<T>);

impl<T> Default for Lenient<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Member<T> {
            Promised(T),
            Other(IgnoredAny),
        }
        Ok(Self(match Member::deserialize(deserializer)? {
            Member::Promised(value) => Some(value),
            Member::Other(IgnoredAny) => None,
        }))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::Lenient;

    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Job {
        count: Lenient<u64>,
        created: Lenient<String>,
    }

    #[test]
    fn member_of_another_type_is_absent_and_spoils_nothing_beside_it() {
        for odd in ["null", "-1", "1.5", r#""7""#, "[1]", r#"{"a":{"b":1}}"#, "true"] {
            let text = format!(r#"{{"count":{odd},"created":"then"}}"#);
            let job: Job = serde_json::from_str(&text).unwrap();
            assert_eq!((job.count.0, job.created.0.as_deref()), (None, Some("then")), "{odd}");
        }
        let job: Job = serde_json::from_str(r#"{"count":7}"#).unwrap();
        assert_eq!((job.count.0, job.created.0), (Some(7), None));
    }
}
