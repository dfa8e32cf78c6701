//! What becomes of the columns of an export, and what a run of it would send.

use segue_proto::v1;

use super::{
    Output, Servers, asking, explain,
    output::{self, Columns, Preview},
    present,
};
use crate::ui;

/// `again`: a worker looks at its segments, and what it finds is kept from now on.
pub(super) async fn columns(
    servers: &Servers,
    export_id: String,
    again: bool,
) -> anyhow::Result<()> {
    let mut client = servers.exports();
    let columns = if again {
        let request = asking(v1::SettleColumnsRequest { export_id });
        client.settle_columns(request).await.map_err(explain)?.into_inner().columns
    } else {
        let request = asking(v1::GetExportRequest { id: export_id });
        let reply = client.get_export(request).await.map_err(explain)?.into_inner();
        present(reply.export, "export")?;
        reply.columns
    };
    let columns = Columns::from(columns.unwrap_or_default());
    if servers.output == Output::Json {
        ui::say(serde_json::to_string_pretty(&columns)?);
        return Ok(());
    }
    output::many(servers.output, &columns.sent)?;
    for note in columns.notes() {
        ui::note(ui::plain(&note));
    }
    Ok(())
}

pub(super) async fn preview(servers: &Servers, export_id: String) -> anyhow::Result<()> {
    let request = asking(v1::PreviewExportRequest { export_id });
    let reply = servers.exports().preview_export(request).await.map_err(explain)?;
    let preview = Preview::from(reply.into_inner());
    if servers.output == Output::Json {
        ui::say(serde_json::to_string_pretty(&preview)?);
        return Ok(());
    }
    output::many(servers.output, &preview.columns)?;
    for line in preview.lines() {
        ui::say(ui::plain(&line));
    }
    Ok(())
}
