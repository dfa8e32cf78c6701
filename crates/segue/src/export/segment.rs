//! What is exported: the files, their columns, and what becomes of them.

use segue_profile::{MapOptions, Mapping, Properties};
use segue_source::{ReadOptions, Segment};
use segue_staging::REPORT_COLUMNS;
use segue_worker::read::{infer_mapping, is_rejects_file};

use crate::{
    cli::{ExportArgs, MappingArgs},
    ui,
};

/// A segment, and the mapping that a run will freeze.
pub(super) struct Planned {
    pub(super) segment: Segment,
    pub(super) mapping: Mapping,
}

/// Opens all files, looks at the first rows and decides over the mapping.
pub(super) async fn plan(args: &ExportArgs) -> anyhow::Result<Planned> {
    let options = options(&args.mapping);
    let segment = open(args.sources.clone()).await?;
    tokio::task::spawn_blocking(move || {
        let mapping = infer_mapping(&segment, &options)?;
        Ok(Planned { segment, mapping })
    })
    .await?
}

pub(super) async fn open(sources: Vec<String>) -> anyhow::Result<Segment> {
    let open = move || Segment::open(&sources, &ReadOptions::default());
    Ok(tokio::task::spawn_blocking(open).await??)
}

fn options(args: &MappingArgs) -> MapOptions {
    let properties = match args.properties.as_str() {
        "all" => Properties::All,
        "none" => Properties::None,
        names => Properties::Only(names.split(',').map(|name| name.trim().to_owned()).collect()),
    };
    MapOptions {
        email: args.email.clone(),
        map: args.map.clone(),
        properties,
        default_country: args.default_country,
    }
}

/// The mapping as a table.
pub(super) fn show(planned: &Planned) {
    let objects = planned.segment.objects();
    for object in objects.iter().take(5) {
        ui::note(format_args!("source   {}", ui::plain(object.name())));
    }
    if objects.len() > 5 {
        ui::note(format_args!("         and {} more files", objects.len() - 5));
    }
    for object in objects.iter().filter(|object| is_rejects_file(object)) {
        ui::note(format_args!(
            "mended   {}: a rejects file, whose first {} columns are not sent",
            ui::plain(object.name()),
            REPORT_COLUMNS.len()
        ));
        ui::note(
            "         types are decided from these few rows: compare them with the first export",
        );
    }
    let rows: Vec<[String; 3]> = planned.mapping.describe().collect();
    let width = rows.iter().map(|[attribute, ..]| attribute.chars().count()).max().unwrap_or(0);
    for (nth, [attribute, column, kind]) in rows.iter().enumerate() {
        let label = if nth == 0 { "mapping " } else { "        " };
        let (attribute, column) = (ui::plain(attribute), ui::plain(column));
        ui::note(format_args!("{label} {attribute:width$}  ← {column} ({kind})"));
    }
    for warning in planned.mapping.warnings() {
        let field = ui::plain(&warning.field);
        ui::note(format_args!(
            "warning  column {field:?}: {} ({})",
            warning.detail, warning.reason
        ));
    }
    let unsent = planned.mapping.unsent();
    if !unsent.is_empty() {
        ui::note(format_args!("not sent {}", ui::plain(&unsent.join(", "))));
    }
}
