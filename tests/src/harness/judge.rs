use std::collections::BTreeSet;

use super::{Ended, Fate, LIST, OTHER_LIST, People, Report, Sim};

/// Knows who should be where, and asks Klaviyo.
pub struct Judge<'a> {
    sim: &'a Sim,
    people: &'a People,
    account: &'a str,
    list: &'a str,
}

impl<'a> Judge<'a> {
    /// Over an export of `people` to the first list.
    pub fn new(sim: &'a Sim, people: &'a People) -> Self {
        Self { sim, people, account: "SIMULA", list: LIST }
    }

    /// Everything: counts, members, rejects, and that nobody is elsewhere.
    #[track_caller]
    pub fn verify(&self, ended: &Ended) -> Report {
        let report = ended.report();
        self.counts_are_right(&report);
        self.members_are_exactly_the_delivered();
        self.rejects_are_reported_once(ended);
        self.nobody_is_elsewhere();
        report
    }

    #[track_caller]
    pub fn counts_are_right(&self, report: &Report) {
        let (mut delivered, mut rejected, mut duplicates) = (0, 0, 0);
        for (_, fate) in self.people.fates() {
            match fate {
                Fate::Delivered(_) => delivered += 1,
                Fate::Rejected { .. } => rejected += 1,
                Fate::Duplicate => duplicates += 1,
            }
        }
        let counts = (report.rows_read, report.delivered, report.rejected, report.duplicates);
        let rows = self.people.len() as u64;
        assert_eq!(counts, (rows, delivered, rejected, duplicates), "{report:#?}");
        assert_eq!((report.unchanged, report.suppressed, report.undelivered), (0, 0, 0));
        let state = if rejected == 0 { "succeeded" } else { "completed_with_rejects" };
        assert_eq!(report.state, state);
    }

    #[track_caller]
    pub fn members_are_exactly_the_delivered(&self) {
        let wanted = self.people.fates().filter_map(|(_, fate)| match fate {
            Fate::Delivered(identity) => Some(identity.as_str()),
            Fate::Rejected { .. } | Fate::Duplicate => None,
        });
        let wanted: BTreeSet<&str> = wanted.collect();
        let members = self.sim.members(self.list);
        let there: BTreeSet<&str> = members.iter().map(String::as_str).collect();
        assert_eq!(there.len(), members.len(), "a member is there twice");
        let missing: Vec<_> = wanted.difference(&there).take(5).collect();
        let surplus: Vec<_> = there.difference(&wanted).take(5).collect();
        let (expected, found) = (wanted.len(), there.len());
        assert!(
            missing.is_empty() && surplus.is_empty(),
            "{expected} members expected, {found} found; missing: {missing:?}, surplus: {surplus:?}"
        );
    }

    /// Each rejected row once, at its place and with its reason.
    #[track_caller]
    pub fn rejects_are_reported_once(&self, ended: &Ended) {
        let wanted = self.people.fates().filter_map(|(row, fate)| match fate {
            Fate::Rejected { reason } => Some((row, (*reason).to_owned())),
            Fate::Delivered(_) | Fate::Duplicate => None,
        });
        let wanted: Vec<(u64, String)> = wanted.collect();
        let rejects = ended.rejects();
        let reported: Vec<(u64, String)> =
            rejects.into_iter().map(|reject| (reject.row, reject.reason)).collect();
        assert_eq!(reported, wanted);
    }

    /// No other list and no other account was touched, and nobody is in the account but not in the list.
    #[track_caller]
    pub fn nobody_is_elsewhere(&self) {
        let state = self.sim.state();
        for (id, account) in &state.accounts {
            if id != self.account {
                assert_eq!((account.profiles, account.imports.len()), (0, 0), "account {id}");
                continue;
            }
            assert_eq!(account.members.get(self.list), Some(&account.profiles), "{account:?}");
            assert_eq!(account.members.get(OTHER_LIST), Some(&0), "{account:?}");
        }
        for import in state.imports() {
            assert_eq!(import.lists, [self.list]);
        }
    }
}
