//! The inputs about what a run refuses to do.

use jiff::SignedDuration;
use prost_types::Duration;
use segue_model::guards::{DEFAULT_MAX_GROWTH, DEFAULT_MAX_REJECTS, DEFAULT_MAX_SHRINKAGE};
use segue_proto::v1;

use super::problems::Problems;
use crate::{form::Form, shown::grouped};

/// What the form decides about, as paths of the contract.
pub(super) const FIELDS: [&str; 7] = [
    "guards.allow_live_flows",
    "guards.allow_empty",
    "guards.max_profiles",
    "guards.max_growth_percent",
    "guards.max_shrinkage_percent",
    "guards.max_rejects_percent",
    "freshness",
];
/// Which input is meant by a field that is wrong.
pub(super) const INPUTS: [(&str, &str); 7] = [
    ("export.guards.allow_live_flows", "allow_live_flows"),
    ("export.guards.max_profiles", "max_profiles"),
    ("export.guards.max_growth_percent", "growth"),
    ("export.guards.max_shrinkage_percent", "shrinkage"),
    ("export.guards.max_rejects_percent", "rejects"),
    ("export.freshness.wait", "wait"),
    ("export.freshness", "max_age"),
];

/// What the inputs hold. A number is empty where its guard is off.
pub(super) struct GuardInputs {
    pub(super) allow_live_flows: bool,
    pub(super) allow_empty: bool,
    pub(super) max_profiles: String,
    pub(super) growth: String,
    pub(super) shrinkage: String,
    pub(super) rejects: String,
    pub(super) max_age: String,
    pub(super) wait: String,
}

impl GuardInputs {
    pub(super) fn of(export: &v1::Export) -> Self {
        let guards = export.guards.unwrap_or_default();
        let freshness = export.freshness.unwrap_or_default();
        Self {
            allow_live_flows: guards.allow_live_flows,
            allow_empty: guards.allow_empty,
            max_profiles: unless_zero(guards.max_profiles),
            growth: unless_zero(guards.max_growth_percent.unwrap_or(DEFAULT_MAX_GROWTH).into()),
            shrinkage: unless_zero(
                guards.max_shrinkage_percent.unwrap_or(DEFAULT_MAX_SHRINKAGE).into(),
            ),
            rejects: unless_zero(guards.max_rejects_percent.unwrap_or(DEFAULT_MAX_REJECTS).into()),
            max_age: freshness.max_source_age.map(words_of).unwrap_or_default(),
            wait: freshness.wait.map(words_of).unwrap_or_default(),
        }
    }

    /// As somebody has filled it in.
    pub(super) fn filled(form: &Form) -> Self {
        let text = |name: &str| form.text(name).to_owned();
        Self {
            allow_live_flows: form.has("allow_live_flows"),
            allow_empty: form.has("allow_empty"),
            max_profiles: text("max_profiles"),
            growth: text("growth"),
            shrinkage: text("shrinkage"),
            rejects: text("rejects"),
            max_age: text("max_age"),
            wait: text("wait"),
        }
    }
}

fn unless_zero(number: u64) -> String {
    Some(number).filter(|it| *it > 0).map(|it| it.to_string()).unwrap_or_default()
}

/// What the inputs say, as the contract has it.
pub(super) fn said(form: &Form, problems: &mut Problems) -> (v1::Guards, Option<v1::Freshness>) {
    let guards = v1::Guards {
        allow_live_flows: form.has("allow_live_flows"),
        allow_empty: form.has("allow_empty"),
        max_profiles: number(form, "max_profiles", problems),
        max_growth_percent: Some(number(form, "growth", problems)),
        max_shrinkage_percent: Some(number(form, "shrinkage", problems)),
        max_rejects_percent: Some(number(form, "rejects", problems)),
    };
    let max_source_age = duration(form, "max_age", problems);
    let wait = duration(form, "wait", problems);
    if wait.is_some() && form.given("max_age").is_none() {
        problems.note("max_age", "Say how old the source may be, or wait for nothing.");
    }
    let freshness = max_source_age.map(|age| v1::Freshness { max_source_age: Some(age), wait });
    (guards, freshness)
}

/// 0 if nothing is filled in.
fn number<N: std::str::FromStr + Default>(
    form: &Form,
    input: &'static str,
    problems: &mut Problems,
) -> N {
    let Some(text) = form.given(input) else { return N::default() };
    text.replace([',', ' ', '%'], "").parse().unwrap_or_else(|_| {
        problems.note(input, "Write a whole number, or leave it empty for no limit.");
        N::default()
    })
}

fn duration(form: &Form, input: &'static str, problems: &mut Problems) -> Option<Duration> {
    let text = form.given(input)?;
    match text.parse::<SignedDuration>() {
        Ok(time) if !time.is_negative() => {
            Some(Duration { seconds: time.as_secs(), nanos: time.subsec_nanos() })
        }
        _ => {
            problems.note(input, "Write a time such as 36h, 90m or 1h 30m.");
            None
        }
    }
}

/// `36h`, `1h 30m`: as it can be typed.
fn words_of(time: Duration) -> String {
    format!("{:#}", SignedDuration::new(time.seconds, time.nanos))
}

/// What an export refuses to do, in sentences.
pub(super) fn sentences(export: &v1::Export) -> Vec<String> {
    let guards = export.guards.unwrap_or_default();
    let mut words = vec![
        if guards.allow_live_flows {
            "Runs although the list starts a live flow: people who join it get its messages."
        } else {
            "Sends nothing if the list starts a live flow."
        }
        .to_owned(),
        if guards.allow_empty {
            "A segment without rows is no failure."
        } else {
            "Fails if the segment has no rows."
        }
        .to_owned(),
    ];
    let mut refuse = |limit: u64, rest: &str| {
        if limit > 0 {
            words.push(format!("Sends nothing if {}", rest.replace("{}", &grouped(limit))));
        }
    };
    refuse(guards.max_profiles, "there are more than {} profiles.");
    let growth = guards.max_growth_percent.unwrap_or(DEFAULT_MAX_GROWTH);
    refuse(growth.into(), "there are more profiles than in the last good run by over {} %.");
    let shrinkage = guards.max_shrinkage_percent.unwrap_or(DEFAULT_MAX_SHRINKAGE);
    refuse(shrinkage.into(), "there are fewer profiles than in the last good run by over {} %.");
    let rejects = guards.max_rejects_percent.unwrap_or(DEFAULT_MAX_REJECTS);
    refuse(rejects.into(), "more than {} % of the rows are rejected while reading.");
    if let Some(v1::Freshness { max_source_age: Some(age), wait }) = export.freshness {
        let waits =
            wait.map(|wait| format!(" It waits up to {} for a younger one.", words_of(wait)));
        words.push(format!(
            "By its schedule it sends no source that is older than {}.{}",
            words_of(age),
            waits.unwrap_or_default()
        ));
    }
    words
}

#[cfg(test)]
mod tests {
    use segue_proto::v1;

    use super::{Form, GuardInputs, Problems, said, sentences};

    fn export_of(encoded: &str) -> (v1::Export, Problems) {
        let mut problems = Problems::default();
        let (guards, freshness) = said(&Form::parse(encoded.as_bytes()), &mut problems);
        (v1::Export { guards: Some(guards), freshness, ..v1::Export::default() }, problems)
    }

    #[test]
    fn inputs_say_guards_and_guards_fill_the_inputs() {
        let filled =
            "max_profiles=50,000&growth=10+%25&shrinkage=&rejects=5&max_age=36h&wait=1h+30m";
        let (export, problems) = export_of(filled);
        assert!(!problems.any());
        let guards = export.guards.unwrap();
        assert_eq!((guards.max_growth_percent, guards.max_shrinkage_percent), (Some(10), Some(0)));
        assert_eq!(export.freshness.unwrap().max_source_age.unwrap().seconds, 36 * 3600);
        let inputs = GuardInputs::of(&export);
        assert_eq!((inputs.max_profiles.as_str(), inputs.shrinkage.as_str()), ("50000", ""));
        assert_eq!((inputs.max_age.as_str(), inputs.wait.as_str()), ("36h", "1h 30m"));
    }

    #[test]
    fn an_export_that_says_nothing_has_the_guards_that_apply_to_it() {
        let inputs = GuardInputs::of(&v1::Export::default());
        assert_eq!((&*inputs.growth, &*inputs.shrinkage, &*inputs.rejects), ("50", "50", "20"));
        assert_eq!(sentences(&v1::Export::default()).len(), 5);
    }

    #[test]
    fn what_is_no_number_and_no_time_is_a_problem_of_its_input() {
        let (_, problems) = export_of("growth=many&rejects=-3&max_age=soon&wait=later");
        for input in ["growth", "rejects"] {
            assert!(problems.with(input).contains("whole number"), "{input}");
        }
        assert!(problems.with("max_age").contains("36h") && problems.with("wait").contains("36h"));
        let (_, problems) = export_of("wait=1h");
        assert!(problems.with("max_age").contains("how old"));
    }

    #[test]
    fn guards_are_told_in_sentences() {
        let (export, _) = export_of("max_profiles=50000&growth=&shrinkage=30&max_age=36h&wait=1h");
        let words = sentences(&export);
        assert_eq!(words.len(), 5, "{words:?}");
        assert!(words[2].contains("more than 50,000 profiles"), "{words:?}");
        assert!(words[3].contains("fewer") && words[3].contains("30 %"), "{words:?}");
        assert!(words[4].contains("older than 36h. It waits up to 1h"), "{words:?}");
    }
}
