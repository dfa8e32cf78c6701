//! What came of cases, one JSON object a line, and the page that is made of it.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::{self, Write as _},
    path::Path,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{
    cases::{self, Case},
    verdict::Verdict,
};

/// What came of one case under one seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    pub case: String,
    pub seed: u64,
    pub seconds: u64,
    pub verdict: Verdict,
}

impl Outcome {
    /// One line for people.
    pub fn line(&self) -> String {
        let Self { case, seed, seconds, verdict } = self;
        let ok = if verdict.is_clean() { "ok  " } else { "FAIL" };
        let recovery = verdict.recovery.map(seconds_of).unwrap_or_default();
        let mut line = format!(
            "{ok} {case:34} seed {seed:<4} {:>7} rows {:>7} delivered {:>2} repeated  recovery {recovery:>6}  in {seconds} s",
            verdict.attempted, verdict.delivered, verdict.repeated_sends,
        );
        if !verdict.is_clean() {
            let Verdict { lost, unexpected, misdirected, rejected_twice, problems, .. } = verdict;
            write!(
                line,
                "\n     lost {lost}, unexpected {unexpected}, misdirected {misdirected}, rejected twice \
                 {rejected_twice}; {}",
                problems.join("; ")
            )
            .unwrap();
        }
        line
    }
}

fn seconds_of(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

/// Adds an outcome to a file.
pub fn add(path: &Path, outcome: &Outcome) -> io::Result<()> {
    let mut file = fs::File::options().create(true).append(true).open(path)?;
    writeln!(file, "{}", serde_json::to_string(outcome)?)
}

/// All outcomes of a file.
pub fn read(path: &Path) -> io::Result<Vec<Outcome>> {
    let text = fs::read_to_string(path)?;
    text.lines().map(|line| serde_json::from_str(line).map_err(io::Error::from)).collect()
}

/// All runs of one case.
struct Summary {
    runs: u64,
    fired: u64,
    total: Verdict,
    recoveries: Vec<Duration>,
}

fn summaries(outcomes: &[Outcome]) -> BTreeMap<&str, Summary> {
    let mut summaries: BTreeMap<&str, Summary> = BTreeMap::new();
    for outcome in outcomes {
        let summary = summaries.entry(&outcome.case).or_insert_with(|| Summary {
            runs: 0,
            fired: 0,
            total: Verdict::default(),
            recoveries: Vec::new(),
        });
        summary.runs += 1;
        summary.fired += u64::from(outcome.verdict.fired);
        summary.total.add(&outcome.verdict);
        summary.recoveries.extend(outcome.verdict.recovery);
    }
    summaries
}

const HEAD: &str = "\
| fault | case | runs | fired | rows | acknowledged | delivered | rejected | duplicates | **lost** | **unexpected** \
| **misdirected** | **rejected twice** | repeated sends | recovery, median | worst |
|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|
";

fn row(fault: &str, name: &str, summary: &mut Summary) -> String {
    summary.recoveries.sort_unstable();
    let Summary { runs, fired, total, recoveries, .. } = summary;
    let median = recoveries.get(recoveries.len() / 2).copied().map(seconds_of).unwrap_or_default();
    let worst = recoveries.last().copied().map(seconds_of).unwrap_or_default();
    format!(
        "| {fault} | {name} | {runs} | {fired} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {median} | {worst} |\n",
        total.attempted,
        total.acknowledged,
        total.delivered,
        total.rejected,
        total.duplicates,
        total.lost,
        total.unexpected,
        total.misdirected,
        total.rejected_twice,
        total.repeated_sends,
    )
}

/// The page that says what was run and what came of it.
pub fn page(outcomes: &[Outcome]) -> String {
    let mut page = String::from(INTRODUCTION);
    let mut summaries = summaries(outcomes);
    page.push_str(HEAD);
    let cases: Vec<Case> = cases::all();
    for case in &cases {
        if let Some(mut summary) = summaries.remove(case.name) {
            page.push_str(&row(case.fault, case.name, &mut summary));
        }
    }
    for (name, summary) in &mut summaries {
        page.push_str(&row("all", name, summary));
    }
    let mut total = Verdict::default();
    let mut fired = 0;
    for outcome in outcomes {
        total.add(&outcome.verdict);
        if outcome.verdict.fired {
            fired += outcome.verdict.delivered;
        }
    }
    let clean = outcomes.iter().filter(|outcome| outcome.verdict.is_clean()).count();
    write!(
        page,
        "\n{} runs, {clean} of them clean; {fired} deliveries in runs in which the fault came between the first and \
         the last request: {} lost, {} unexpected, {} misdirected, {} rejected twice.\n",
        outcomes.len(),
        total.lost,
        total.unexpected,
        total.misdirected,
        total.rejected_twice
    )
    .unwrap();
    for Outcome { case, seed, verdict, .. } in outcomes.iter().filter(|it| !it.verdict.is_clean()) {
        writeln!(page, "- not clean: `{case}`, seed {seed}: {}", verdict.problems.join("; "))
            .unwrap();
    }
    page.push_str("\n## The cases\n\n");
    for case in cases.iter().filter(|case| case.fault != "kill point") {
        writeln!(page, "- `{}` ({}): {}.", case.name, case.fault, case.what).unwrap();
    }
    page.push_str(
        "- The other names are kill points: each of two instances dies there when it comes by.\n",
    );
    page.push_str("\n## Not covered\n\n");
    for (fault, why) in cases::NOT_COVERED {
        writeln!(page, "- {fault}: {why}.").unwrap();
    }
    page
}

const INTRODUCTION: &str = "\
# Nothing lost

This page is written by `make chaos`, from the outcomes in `reliability.jsonl` beside it, to which every invocation adds.
Each run is of real processes on one machine, with a RabbitMQ and a PostgreSQL of its own and a Klaviyo that keeps its
limits: two control-planes, two workers and status, or what the case names instead. A run begins, the fault comes, the run
ends, and a judge outside of Segue compares the rows of the source with what Klaviyo has and with what Segue says. The
soak has four accounts and three workers, and one fault after the other.

- *lost*: rows that are neither in the list nor among the rejects, or said to be delivered and not there.
- *unexpected*: members whom no row asks for, rejects that no row explains. *misdirected*: profiles in any other list or
  account. *rejected twice*: rejects that are listed more than once.
- *fired*: runs in which the fault came between the first and the last request to Klaviyo.
- *repeated sends*: the same batch sent again because nobody knew whether it had arrived. It changes nothing in Klaviyo.
- *recovery*: the longest time after the fault in which nothing was accepted and nothing ended, the time that the fault
  itself took included. Runs on a machine that did other work besides (`chaos --busy`) have none. Where a server is
  started again, its own start is in it, and no other case runs beside.

";
