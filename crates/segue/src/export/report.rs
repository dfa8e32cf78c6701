//! What became of a run: on the screen, as JSON, and as the two CSV files.

use std::{
    fs::File,
    io::{self, BufWriter, Write as _},
    path::Path,
};

use anyhow::Context as _;
use segue_model::{Micros, RejectReason, RunId, WarningReason};
use segue_profile::FieldStats;
use segue_source::{Item, Object, Segment};
use segue_staging::{CsvReport, Staging};
use segue_store::read::{self, Report};
use segue_worker::read::{Person, is_rejects_file, person_columns};
use serde::Serialize;

use super::{
    preflight::Target,
    records::{Merged, position},
};
use crate::{cli::ExportArgs, embedded::Embedded, ui};

/// Refuses to begin if a file that is asked for could not be written at the end: to learn it after hours of
/// work would be late. Leaves nothing behind.
pub(super) fn check_paths(args: &ExportArgs) -> anyhow::Result<()> {
    for path in [&args.report, &args.rejects, &args.warnings].into_iter().flatten() {
        let opened = match File::options().write(true).create_new(true).open(path) {
            Ok(_) => std::fs::remove_file(path),
            Err(err) if err.kind() == io::ErrorKind::AlreadyExists => {
                File::options().append(true).open(path).map(drop)
            }
            Err(err) => Err(err),
        };
        opened.with_context(|| cannot_write(path))?;
    }
    Ok(())
}

/// Writes all that was asked for.
pub(super) async fn write(
    args: &ExportArgs,
    embedded: &Embedded,
    run: RunId,
    segment: &Segment,
    target: &Target,
) -> anyhow::Result<()> {
    let report = read::report(embedded.control_plane.store(), run).await?;
    let report = report.with_context(|| format!("{run} is gone from the data folder"))?;
    if let Some(path) = &args.report {
        write_json(path, &report).with_context(|| cannot_write(path))?;
    }
    if let Some(path) = args.rejects.clone() {
        let (staging, segment) = (embedded.staging.clone(), segment.clone());
        let names = report.reject_reports.clone();
        let (file, to) = (path.clone(), path);
        let write = move || write_rejects(&file, staging, &names, &segment);
        tokio::task::spawn_blocking(write).await?.with_context(|| cannot_write(&to))?;
    }
    if let Some(path) = args.warnings.clone() {
        let (staging, segment) = (embedded.staging.clone(), segment.clone());
        let names = report.warning_reports.clone();
        let (file, to) = (path.clone(), path);
        let write = move || write_warnings(&file, staging, &names, &segment);
        tokio::task::spawn_blocking(write).await?.with_context(|| cannot_write(&to))?;
    }
    say(args, &report, target);
    Ok(())
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write {}", path.display())
}

/// The report in the words of its documentation, in this order.
#[derive(Serialize)]
struct Json<'a> {
    run_id: RunId,
    state: &'static str,
    rows_read: u64,
    delivered: u64,
    rejected: u64,
    duplicates: u64,
    unchanged: u64,
    suppressed: u64,
    undelivered: u64,
    warnings: u64,
    batches: u64,
    requests: u64,
    repeated_sends: u64,
    throttled: u64,
    bytes: u64,
    started_at: Option<String>,
    first_request_at: Option<String>,
    last_accepted_at: Option<String>,
    ended_at: Option<String>,
    rejects_by_reason: &'a std::collections::BTreeMap<RejectReason, u64>,
}

fn write_json(path: &Path, report: &Report) -> anyhow::Result<()> {
    let counts = &report.counts;
    let time = |at: Option<Micros>| at.map(Micros::rfc3339);
    let json = Json {
        run_id: report.run,
        state: report.state.name(),
        rows_read: counts.rows_read,
        delivered: counts.delivered,
        rejected: counts.rejected,
        duplicates: counts.duplicates,
        unchanged: counts.unchanged,
        suppressed: counts.suppressed,
        undelivered: counts.undelivered,
        warnings: counts.warnings,
        batches: report.batches,
        requests: report.requests,
        repeated_sends: report.repeated_sends,
        throttled: report.throttled,
        bytes: report.bytes,
        started_at: time(report.started),
        first_request_at: time(report.first_request),
        last_accepted_at: time(report.last_accepted),
        ended_at: time(report.ended),
        rejects_by_reason: &report.rejects_by_reason,
    };
    let mut out = BufWriter::new(File::create(path)?);
    serde_json::to_writer_pretty(&mut out, &json)?;
    out.write_all(b"\n")?;
    out.into_inner()?.sync_all()?;
    Ok(())
}

/// Every rejected row once, with its original columns, in the order of the source.
///
/// The columns come from the files, which are read again up to the last row that is wanted. They are still
/// open, so a file that was replaced meanwhile does not matter.
fn write_rejects(
    path: &Path,
    staging: Staging,
    names: &[String],
    segment: &Segment,
) -> anyhow::Result<()> {
    let columns = all_columns(segment);
    let mut report = CsvReport::new(create(path)?, columns.iter().map(String::as_str))?;
    let mut records: Merged<RejectReason> = Merged::new(staging, names)?;
    let mut rows = segment.rows();
    let mut wanted = records.next()?;
    while let Some(record) = &wanted {
        let at = position(record);
        let source = name_of(segment, at.object);
        let item = loop {
            match rows.next() {
                Ok(Some(item)) if item.position() < at => {}
                Ok(Some(item)) => break Some(item),
                Ok(None) => break None,
                Err(err) => {
                    ui::note(format_args!("warning  rejects without their columns: {err}"));
                    break None;
                }
            }
        };
        let cells = item.map_or_else(Vec::new, |item| original(&item, segment, &columns));
        // Two records of one row cannot be, but a report must not lose one to that belief.
        loop {
            match &wanted {
                Some(record) if position(record) == at => {
                    report.write(source, record, cells.iter().map(String::as_str))?;
                }
                _ => break,
            }
            wanted = records.next()?;
        }
    }
    report.finish()?.into_inner()?.sync_all()?;
    Ok(())
}

fn write_warnings(
    path: &Path,
    staging: Staging,
    names: &[String],
    segment: &Segment,
) -> anyhow::Result<()> {
    let mut report = CsvReport::new(create(path)?, [])?;
    let mut records: Merged<WarningReason> = Merged::new(staging, names)?;
    while let Some(record) = records.next()? {
        report.write(name_of(segment, record.object), &record, [])?;
    }
    report.finish()?.into_inner()?.sync_all()?;
    Ok(())
}

/// Rejects are personal data: the file is for its owner only.
fn create(path: &Path) -> io::Result<BufWriter<File>> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    Ok(BufWriter::new(file))
}

fn name_of(segment: &Segment, object: u32) -> &str {
    segment.objects().get(object as usize).map_or("", Object::name)
}

/// The columns of all objects, in the order in which they first occur.
fn all_columns(segment: &Segment) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for object in segment.objects() {
        let new = person_columns(object).iter().filter(|column| !all.contains(column));
        let new: Vec<String> = new.cloned().collect();
        all.extend(new);
    }
    all
}

/// The cells of a row under `columns`. A row that could not be taken apart stands whole in the first.
fn original(item: &Item<'_>, segment: &Segment, columns: &[String]) -> Vec<String> {
    let row = match item {
        Item::Bad(bad) => return vec![bad.raw.expose().clone()],
        Item::Row(row) => row,
    };
    let object = segment.objects().get(row.position().object as usize);
    let here = object.map_or(&[][..], person_columns);
    let mut cells = Person::new(*row, object.is_some_and(is_rejects_file)).to_cells();
    if here == columns {
        return cells;
    }
    let mut take = |column: &String| {
        let at = here.iter().position(|other| other == column);
        at.and_then(|at| cells.get_mut(at)).map(std::mem::take).unwrap_or_default()
    };
    columns.iter().map(&mut take).collect()
}

fn say(args: &ExportArgs, report: &Report, target: &Target) {
    for line in lines(args, report, target) {
        ui::say(line);
    }
}

fn lines(args: &ExportArgs, report: &Report, target: &Target) -> Vec<String> {
    let mut lines = Vec::new();
    // First of all what the user would not forgive to have missed.
    if let Some(lost) = lost_fields(report) {
        lines.push(lost);
    }
    let counts = &report.counts;
    lines.push(format!(
        "{}: {} of {} rows delivered to {} ({})",
        report.state,
        ui::grouped(counts.delivered),
        ui::grouped(counts.rows_read),
        ui::plain(&target.list_name()),
        target.list.id.as_str(),
    ));
    if let Some((reason, detail)) = &report.failure {
        lines.push(format!("  failed: {reason}: {} {}", reason.meaning(), ui::plain(detail)));
        lines.push(format!("  what to do: {}", reason.fix()));
    }
    let reasons = |reasons: Vec<(&str, u64)>| {
        let words = reasons.iter().map(|(reason, n)| format!("{reason} {}", ui::grouped(*n)));
        words.collect::<Vec<_>>().join(", ")
    };
    let rejected = report.rejects_by_reason.iter().map(|(reason, n)| (reason.code(), *n));
    let undelivered = report.undelivered.iter().map(|(reason, n)| (reason.as_str(), *n));
    let number = |name: &str, n: u64, why: String| {
        format!("  {name:<12} {:>12}  {why}", ui::grouped(n)).trim_end().to_owned()
    };
    lines.push(number("rejected", counts.rejected, reasons(rejected.collect())));
    lines.push(number("duplicates", counts.duplicates, String::new()));
    lines.push(number("undelivered", counts.undelivered, reasons(undelivered.collect())));
    lines.push(number("warnings", counts.warnings, String::new()));
    lines.push(pace(report));
    if counts.rejected > 0 && args.rejects.is_none() {
        lines.push("  name a file with --rejects to see the rejected rows".to_owned());
    }
    lines.push(format!("  {}", report.run));
    lines
}

fn lost_fields(report: &Report) -> Option<String> {
    let stats: FieldStats = serde_json::from_str(report.summary.as_deref()?).ok()?;
    let lost: Vec<String> = stats
        .lossy()
        .map(|field| {
            let (lost, all) = (ui::grouped(field.left_out), ui::grouped(field.non_empty));
            format!("{} ({lost} of {all})", ui::plain(&field.field))
        })
        .collect();
    let many = "in more than 10 % of the cells";
    (!lost.is_empty()).then(|| format!("LEFT OUT {many}: {}; see --warnings", lost.join(", ")))
}

fn pace(report: &Report) -> String {
    let took = report.first_request.zip(report.last_accepted).map(|(from, to)| to.since(from));
    let seconds = took.map_or(0.0, |took| took.as_secs_f64());
    format!(
        "  {} batches in {} requests ({} repeated, {} throttled), {:.1} MB in {seconds:.1} s",
        report.batches,
        report.requests,
        report.repeated_sends,
        report.throttled,
        megabytes(report.bytes),
    )
}

#[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
pub(super) fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
