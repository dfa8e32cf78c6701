//! Past runs as bars, with the same in words for whoever does not see them.

use std::collections::BTreeMap;

use askama::Template;
use jiff::tz::TimeZone;
use segue_proto::v1;

use crate::shown::{counted, grouped, state_words, timestamp};

/// The drawing is so wide and so high; pages stretch it.
const WIDTH: u64 = 1000;
const HEIGHT: u64 = 200;
/// A first run should not fill the whole width.
const FEWEST_SLOTS: u64 = 12;
/// A part of a bar that is there can be seen.
const THINNEST: u64 = 2;

/// The runs of an export over time.
#[derive(Template)]
#[template(path = "chart.html")]
pub(crate) struct Chart {
    bars: Vec<Bar>,
    words: String,
    tallest: String,
    first: String,
    last: String,
}

struct Bar {
    x: u64,
    width: u64,
    parts: Vec<Part>,
    /// For whoever points at it.
    words: String,
}

struct Part {
    kind: &'static str,
    y: u64,
    height: u64,
}

impl Chart {
    /// `runs` newest first. `None`: there is nothing to draw.
    pub(crate) fn of(runs: &[v1::Run]) -> Option<Self> {
        let rows = |run: &v1::Run| run.counts.as_ref().map_or(0, |counts| counts.rows_read);
        let tallest = runs.iter().map(rows).max().filter(|rows| *rows > 0)?;
        let slot = WIDTH / FEWEST_SLOTS.max(u64::try_from(runs.len()).ok()?);
        let bar = |(at, run): (u64, &v1::Run)| Bar {
            x: at * slot + slot / 8,
            width: slot - slot / 4,
            parts: parts(&run.counts.clone().unwrap_or_default(), tallest),
            words: bar_words(run),
        };
        let day = |run: Option<&v1::Run>| run.map(day).unwrap_or_default();
        Some(Self {
            bars: (0..).zip(runs.iter().rev()).map(bar).collect(),
            words: words(runs),
            tallest: grouped(tallest),
            first: day(runs.last()),
            last: day(runs.first()),
        })
    }
}

fn parts(counts: &v1::Counts, tallest: u64) -> Vec<Part> {
    let others = counts.duplicates + counts.unchanged + counts.suppressed;
    let kinds = [
        ("delivered", counts.delivered),
        ("duplicates", others),
        ("rejected", counts.rejected),
        ("undelivered", counts.undelivered),
    ];
    let mut y = HEIGHT;
    let drawn = kinds.into_iter().filter(|(_, rows)| *rows > 0).map(|(kind, rows)| {
        let exact = u128::from(rows) * u128::from(HEIGHT) / u128::from(tallest.max(1));
        let height = u64::try_from(exact).unwrap_or(HEIGHT).max(THINNEST).min(y);
        y -= height;
        Part { kind, y, height }
    });
    drawn.collect()
}

fn day(run: &v1::Run) -> String {
    let at = timestamp(run.created_at).map(|at| at.to_zoned(TimeZone::UTC));
    at.map(|at| at.strftime("%-d %b %Y").to_string()).unwrap_or_default()
}

fn bar_words(run: &v1::Run) -> String {
    let counts = run.counts.clone().unwrap_or_default();
    let (delivered, read) = (grouped(counts.delivered), grouped(counts.rows_read));
    format!("{}: {delivered} of {read} rows delivered, {}", day(run), state_words(run.state()))
}

fn words(runs: &[v1::Run]) -> String {
    let mut by_state: BTreeMap<i32, u64> = BTreeMap::new();
    for run in runs {
        *by_state.entry(run.state).or_default() += 1;
    }
    let states = by_state.into_iter().map(|(state, runs)| {
        let state = v1::RunState::try_from(state).unwrap_or_default();
        format!("{} {}", grouped(runs), state_words(state).to_lowercase())
    });
    let states = states.collect::<Vec<_>>().join(", ");
    let delivered = runs.iter().map(|run| run.counts.as_ref().map_or(0, |it| it.delivered));
    let (least, most) =
        delivered.fold((u64::MAX, 0), |(least, most), rows| (least.min(rows), most.max(rows)));
    let count = u64::try_from(runs.len()).unwrap_or(u64::MAX);
    format!(
        "{}: {states}. Rows delivered by a run: from {} to {}.",
        counted(count, "run", "runs"),
        grouped(least),
        grouped(most)
    )
}

#[cfg(test)]
mod tests {
    use segue_proto::v1;

    use super::{Chart, HEIGHT, WIDTH};

    fn run(delivered: u64, rejected: u64) -> v1::Run {
        let counts = v1::Counts {
            rows_read: delivered + rejected,
            delivered,
            rejected,
            ..v1::Counts::default()
        };
        let mut run = v1::Run { counts: Some(counts), ..v1::Run::default() };
        run.set_state(v1::RunState::Succeeded);
        run
    }

    #[test]
    fn bars_stay_inside_and_small_parts_can_be_seen() {
        let runs: Vec<v1::Run> = (0..30).map(|nth| run(nth * 1_000_000, 1)).collect();
        let chart = Chart::of(&runs).unwrap();
        assert_eq!(chart.bars.len(), 30);
        for bar in &chart.bars {
            assert!(bar.x + bar.width <= WIDTH);
            let height: u64 = bar.parts.iter().map(|part| part.height).sum();
            assert!(height <= HEIGHT && bar.parts.iter().all(|part| part.height >= 1));
            assert!(bar.parts.iter().all(|part| part.y + part.height <= HEIGHT));
        }
        assert!(chart.words.starts_with("30 runs: 30 succeeded."), "{}", chart.words);
        assert!(chart.words.ends_with("from 0 to 29,000,000."), "{}", chart.words);
    }

    #[test]
    fn without_rows_there_is_nothing_to_draw() {
        assert!(Chart::of(&[]).is_none());
        assert!(Chart::of(&[run(0, 0)]).is_none());
    }
}
