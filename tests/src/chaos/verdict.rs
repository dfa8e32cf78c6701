//! The judge: knows the rows, asks Klaviyo what it has, reads what Segue tells, and believes neither.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::harness::{Fate, LIST, OTHER_LIST, People, Report, Sim, wait_for};

/// What says nothing is not written down.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// How a run has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// With everybody delivered who can be.
    Complete,
    /// As failed or cancelled, for one of these reasons; what it says was delivered was.
    Ends(&'static [&'static str]),
}

/// What became of the rows of one case.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Verdict {
    /// Rows in the source.
    #[serde(skip_serializing_if = "is_default")]
    pub attempted: u64,
    /// Profiles in bodies that Klaviyo accepted, however often.
    #[serde(skip_serializing_if = "is_default")]
    pub acknowledged: u64,
    /// As the run says.
    #[serde(skip_serializing_if = "is_default")]
    pub delivered: u64,
    #[serde(skip_serializing_if = "is_default")]
    pub rejected: u64,
    #[serde(skip_serializing_if = "is_default")]
    pub duplicates: u64,
    /// Rows that must be delivered or reported, and are neither.
    #[serde(skip_serializing_if = "is_default")]
    pub lost: u64,
    /// Members whom no row asks for, and rejects that no row explains.
    #[serde(skip_serializing_if = "is_default")]
    pub unexpected: u64,
    /// Profiles in a list or an account that the run did not name.
    #[serde(skip_serializing_if = "is_default")]
    pub misdirected: u64,
    #[serde(skip_serializing_if = "is_default")]
    pub rejected_twice: u64,
    #[serde(skip_serializing_if = "is_default")]
    pub repeated_sends: u64,
    /// The longest time after the fault in which nothing was accepted and nothing ended.
    #[serde(skip_serializing_if = "is_default", with = "millis")]
    pub recovery: Option<Duration>,
    /// The fault came between the first and the last request.
    #[serde(skip_serializing_if = "is_default")]
    pub fired: bool,
    /// What else is wrong, such as a state that is not true.
    #[serde(skip_serializing_if = "is_default")]
    pub problems: Vec<String>,
}

mod millis {
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    #[expect(clippy::ref_option, reason = "this is how serde calls it")]
    pub(super) fn serialize<S: Serializer>(
        time: &Option<Duration>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        time.map(|time| time.as_millis()).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(from)?.map(Duration::from_millis))
    }
}

impl Verdict {
    pub fn is_clean(&self) -> bool {
        let Self { lost, unexpected, misdirected, rejected_twice, problems, .. } = self;
        (lost + unexpected + misdirected + rejected_twice) == 0 && problems.is_empty()
    }

    /// Adds what another run of the same case came to.
    pub fn add(&mut self, other: &Self) {
        self.attempted += other.attempted;
        self.acknowledged += other.acknowledged;
        self.delivered += other.delivered;
        self.rejected += other.rejected;
        self.duplicates += other.duplicates;
        self.lost += other.lost;
        self.unexpected += other.unexpected;
        self.misdirected += other.misdirected;
        self.rejected_twice += other.rejected_twice;
        self.repeated_sends += other.repeated_sends;
        self.recovery = self.recovery.max(other.recovery);
        self.fired &= other.fired;
        self.problems.extend(other.problems.iter().cloned());
    }
}

/// What a run says of itself.
pub struct Told {
    pub report: Report,
    /// Why it failed, if it did.
    pub reason: String,
    /// Row and reason of each reject that is listed.
    pub rejects: Vec<(u64, String)>,
}

/// Where the people of a run belong.
pub struct Target<'a> {
    pub account: &'a str,
    pub list: &'a str,
    /// Accounts that other runs are meant for.
    pub others: &'a [&'a str],
}

impl Default for Target<'_> {
    fn default() -> Self {
        Self { account: "SIMULA", list: LIST, others: &[] }
    }
}

/// Judges one run that was alone with its list.
pub fn judge(
    sim: &Sim,
    people: &People,
    told: &Told,
    expected: Expected,
    target: &Target<'_>,
) -> Verdict {
    let Told { report, reason, rejects } = told;
    settle(sim);
    let mut verdict = Verdict {
        attempted: people.len() as u64,
        delivered: report.delivered,
        rejected: report.rejected,
        duplicates: report.duplicates,
        repeated_sends: report.repeated_sends,
        ..Verdict::default()
    };
    let (wanted, must_reject) = wanted(people);
    // With a list that was deleted in mid-run its members are gone too.
    let gone = !sim.state().accounts[target.account].members.contains_key(target.list);
    let members = sim.members(target.list);
    let there: BTreeSet<&str> = members.iter().map(String::as_str).collect();
    verdict.unexpected += there.difference(&wanted).count() as u64;
    verdict.unexpected += (members.len() - there.len()) as u64;
    look_elsewhere(sim, target, &mut verdict);
    let mut listed: BTreeMap<u64, u64> = BTreeMap::new();
    for (row, why) in rejects {
        *listed.entry(*row).or_default() += 1;
        if must_reject.get(row).is_none_or(|must| must != why) {
            verdict.unexpected += 1;
        }
    }
    verdict.rejected_twice += listed.values().map(|times| times - 1).sum::<u64>();
    if rejects.len() as u64 != report.rejected {
        verdict.problems.push(format!(
            "{} rejects counted, {} listed",
            report.rejected,
            rejects.len()
        ));
    }
    match expected {
        Expected::Complete => {
            verdict.lost += wanted.difference(&there).count() as u64;
            verdict.lost +=
                must_reject.keys().filter(|row| !listed.contains_key(*row)).count() as u64;
            let state = if must_reject.is_empty() { "succeeded" } else { "completed_with_rejects" };
            if report.state != state {
                verdict.problems.push(format!("{} ({reason}) and not {state}", report.state));
            }
            let counts = (report.rows_read, report.delivered, report.undelivered);
            if counts != (people.len() as u64, wanted.len() as u64, 0) {
                verdict.problems.push(format!("counts that are not true: {report:?}"));
            }
        }
        Expected::Ends(reasons) => {
            // Whoever is said to be delivered has to be there; who is there may not be confirmed.
            if !gone {
                verdict.lost += report.delivered.saturating_sub(there.len() as u64);
            }
            let ended = report.state == "failed" || report.state == "cancelled";
            if !ended || !reasons.contains(&reason.as_str()) {
                verdict
                    .problems
                    .push(format!("{} ({reason}) and not one of {reasons:?}", report.state));
            }
        }
    }
    verdict
}

/// Waits until Klaviyo has carried out what it accepted: nobody asks for it once a run has failed.
fn settle(sim: &Sim) {
    wait_for("Klaviyo carries out what it accepted", || {
        let over = |status: &str| status == "complete" || status == "cancelled";
        sim.state().imports().all(|import| over(&import.status)).then_some(())
    });
}

/// Who must be in the list, and which rows must be rejected and why.
fn wanted(people: &People) -> (BTreeSet<&str>, BTreeMap<u64, &'static str>) {
    let (mut wanted, mut rejects) = (BTreeSet::new(), BTreeMap::new());
    for (row, fate) in people.fates() {
        match fate {
            Fate::Delivered(identity) => {
                wanted.insert(identity.as_str());
            }
            Fate::Rejected { reason } => {
                rejects.insert(row, *reason);
            }
            Fate::Duplicate => {}
        }
    }
    (wanted, rejects)
}

/// Other lists, other accounts, and profiles that are in the account but in no list.
fn look_elsewhere(sim: &Sim, target: &Target<'_>, verdict: &mut Verdict) {
    let state = sim.state();
    for (id, account) in &state.accounts {
        if target.others.contains(&id.as_str()) {
            continue;
        }
        if id != target.account {
            verdict.misdirected += account.profiles as u64;
            continue;
        }
        let in_list = account.members.get(target.list).copied().unwrap_or(account.profiles);
        verdict.misdirected += account.profiles.saturating_sub(in_list) as u64;
        verdict.misdirected += account.members.get(OTHER_LIST).copied().unwrap_or(0) as u64;
        for import in &account.imports {
            verdict.acknowledged += import.profiles as u64;
            if import.lists != [target.list] {
                verdict.misdirected += import.profiles as u64;
            }
        }
    }
    if !state.consent_calls.is_empty() {
        verdict.problems.push(format!("consent was touched: {:?}", state.consent_calls));
    }
}
