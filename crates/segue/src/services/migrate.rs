use std::process::ExitCode;

use segue_service::config::{ConfigArgs, Migrate};
use segue_store::Store;

use crate::ui;

/// Brings the schema of the database up to date. Several at a time wait for one another.
pub(crate) async fn migrate(args: &ConfigArgs<Migrate>) -> anyhow::Result<ExitCode> {
    let config = args.load()?;
    if args.print_config {
        ui::say(config.to_toml().trim_end());
        return Ok(ExitCode::SUCCESS);
    }
    Store::migrate(config.database_url.required()?.expose()).await?;
    ui::note("the schema is up to date");
    Ok(ExitCode::SUCCESS)
}
