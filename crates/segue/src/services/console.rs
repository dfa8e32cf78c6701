use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use segue_console::{Console, Services, Settings};
use segue_service::{
    Context,
    config::Config,
    grpc::{Client, Target},
};
use url::Url;

use super::parts::Duties;

pub(super) async fn body(config: &Config, context: Context) -> anyhow::Result<()> {
    let Context { drain, checks, started } = context;
    let Some(listen) = config.console_listen else {
        bail!("console_listen is off, and there is nothing else for this service to do")
    };
    let ca = config.tls_ca_file.get().map(AsRef::as_ref);
    let client = |url| Client::new(Target { ca, ..Target::new(url) });
    let control_plane = client(&config.server)?;
    let status = match config.status_url.get() {
        Some(url) => client(url)?,
        None => control_plane.clone(),
    };
    let console = bind(config, listen, Services::new(control_plane, status)).await?;
    console.check(&checks);

    let mut duties = Duties::new(&drain);
    tracing::info!(console = %console.address(), "serving");
    duties.add(console.serve(drain.clone()));
    started.set();
    duties.done().await
}

/// The console of a process that serves everything: `people` is where it is heard in this process.
pub(super) async fn within(
    config: &Config,
    listen: SocketAddr,
    people: SocketAddr,
) -> anyhow::Result<Console> {
    let url = Url::parse(&format!("http://{people}")).context("an address makes no URL")?;
    let client = Client::new(Target::new(&url))?;
    bind(config, listen, Services::new(client.clone(), client)).await
}

async fn bind(config: &Config, listen: SocketAddr, services: Services) -> anyhow::Result<Console> {
    let key = config.console_key_file.get().map(|file| segue_service::console_key(file));
    let key = key.transpose()?;
    if key.is_none() {
        tracing::info!(
            "console_key_file is not set: sign-ins to the console end with this process"
        );
    }
    let bound = Console::bind(Settings { listen, services, key }).await;
    bound.context("set console_listen to another address, or to off")
}
