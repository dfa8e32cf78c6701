//! Guards and freshness, as they are typed.

use std::time::Duration;

use clap::Args;
use segue_proto::{duration as contract, v1};

use crate::cli::duration;

/// What an export refuses to do.
#[derive(Debug, Args)]
pub(super) struct GuardArgs {
    /// Run although the list starts a live flow.
    #[arg(long)]
    pub(super) allow_live_flows: bool,
    /// Save it without asking, whatever the list starts.
    #[arg(long, short)]
    pub(super) yes: bool,
    /// A segment without rows is no failure.
    #[arg(long)]
    pub(super) allow_empty: bool,
    /// Send nothing if there are more profiles.
    #[arg(long, value_name = "N", default_value = "0", hide_default_value = true)]
    pub(super) max_profiles: u64,
    #[command(flatten)]
    pub(super) shares: ShareArgs,
}

/// Guards in percent. 0: not judged.
#[derive(Debug, Args)]
#[expect(clippy::struct_field_names, reason = "they are the names of the flags")]
pub(super) struct ShareArgs {
    /// Send nothing if there are more profiles than in the last good run, by more than so many percent. 0: not judged [default: 50]
    #[arg(long, value_name = "PERCENT")]
    pub(super) max_growth: Option<u32>,
    /// Send nothing if there are fewer profiles than in the last good run, by more than so many percent. 0: not judged [default: 50]
    #[arg(long, value_name = "PERCENT")]
    pub(super) max_shrinkage: Option<u32>,
    /// Send nothing if more than so many percent of the rows are rejected. 0: not judged [default: 20]
    #[arg(long, value_name = "PERCENT")]
    pub(super) max_rejects: Option<u32>,
}

/// How old the source may be.
#[derive(Debug, Args)]
pub(super) struct FreshnessArgs {
    /// A run by the schedule sends nothing if the source is older, as 26h.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(super) max_source_age: Option<Duration>,
    /// How long such a run waits for a younger source before it fails, as 2h [default: not at all]
    #[arg(long, value_name = "TIME", value_parser = duration, requires = "max_source_age")]
    pub(super) source_wait: Option<Duration>,
}

impl GuardArgs {
    pub(super) fn message(&self) -> v1::Guards {
        v1::Guards {
            allow_live_flows: self.allow_live_flows,
            allow_empty: self.allow_empty,
            max_profiles: self.max_profiles,
            max_growth_percent: self.shares.max_growth,
            max_shrinkage_percent: self.shares.max_shrinkage,
            max_rejects_percent: self.shares.max_rejects,
        }
    }
}

/// Guards of an export that exists: what is not given is left.
#[derive(Debug, Args)]
pub(super) struct GuardChangeArgs {
    /// Run although the list starts a live flow.
    #[arg(long, value_name = "BOOL")]
    pub(super) allow_live_flows: Option<bool>,
    /// Save it without asking, whatever the list starts.
    #[arg(long, short)]
    pub(super) yes: bool,
    /// A segment without rows is no failure.
    #[arg(long, value_name = "BOOL")]
    pub(super) allow_empty: Option<bool>,
    /// Send nothing if there are more profiles. 0: no limit
    #[arg(long, value_name = "N")]
    pub(super) max_profiles: Option<u64>,
    #[command(flatten)]
    pub(super) shares: ShareArgs,
    #[command(flatten)]
    pub(super) freshness: FreshnessArgs,
    /// The source may be as old as it is.
    #[arg(long, conflicts_with = "max_source_age")]
    pub(super) any_source_age: bool,
}

impl GuardChangeArgs {
    /// Puts what is given into an export; returns the paths of it.
    pub(super) fn change(&self, export: &mut v1::Export) -> Vec<String> {
        let mut guards = v1::Guards::default();
        let mut paths = Vec::new();
        if let Some(allow) = self.allow_live_flows {
            guards.allow_live_flows = allow;
            paths.push("guards.allow_live_flows");
        }
        if let Some(allow) = self.allow_empty {
            guards.allow_empty = allow;
            paths.push("guards.allow_empty");
        }
        if let Some(most) = self.max_profiles {
            guards.max_profiles = most;
            paths.push("guards.max_profiles");
        }
        let ShareArgs { max_growth, max_shrinkage, max_rejects } = self.shares;
        guards.max_growth_percent = max_growth;
        guards.max_shrinkage_percent = max_shrinkage;
        guards.max_rejects_percent = max_rejects;
        paths.extend(max_growth.map(|_| "guards.max_growth_percent"));
        paths.extend(max_shrinkage.map(|_| "guards.max_shrinkage_percent"));
        paths.extend(max_rejects.map(|_| "guards.max_rejects_percent"));
        export.guards = Some(guards);
        export.freshness = self.freshness.message();
        if self.any_source_age || export.freshness.is_some() {
            paths.push("freshness");
        }
        paths.into_iter().map(str::to_owned).collect()
    }
}

impl FreshnessArgs {
    pub(super) fn message(&self) -> Option<v1::Freshness> {
        Some(v1::Freshness {
            max_source_age: Some(contract(self.max_source_age?)),
            wait: self.source_wait.map(contract),
        })
    }
}

/// A duration as it could be typed: `26h`, `90m`, `45s`. Parts of a second are left out.
pub(super) fn typed(duration: prost_types::Duration) -> String {
    match duration.seconds {
        0 => "0s".to_owned(),
        seconds if seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        seconds if seconds % 60 == 0 => format!("{}m", seconds / 60),
        seconds => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{contract, duration, typed};

    #[test]
    fn durations_are_shown_as_they_can_be_typed() {
        for text in ["26h", "90m", "45s", "3601s"] {
            assert_eq!(typed(contract(duration(text).unwrap())), text);
        }
        assert_eq!(typed(contract(Duration::from_hours(2))), "2h");
    }
}
