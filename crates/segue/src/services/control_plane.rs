use std::sync::Arc;

use anyhow::Context as _;
use segue_control_plane::{ControlPlane, Settings, grpc};
use segue_service::{
    Context,
    config::Config,
    grpc::{Limits, Server, Token, require_tls_or_loopback},
};
use segue_store::{Schema, Store, SystemClock};

use super::parts::{self, Duties};

pub(super) async fn body(config: &Config, context: Context) -> anyhow::Result<()> {
    let Context { drain, checks, started } = context;
    let workers = workers_listener(config).await?;
    let url = config.database_url.required()?;
    let clock = Arc::new(SystemClock::start());
    let store = Store::connect(url.expose(), Schema::Expect, clock).await?;
    parts::check_database(&checks, (*store).clone());
    let queue = parts::rabbit(config, "segue-control-plane").await?;
    parts::check_broker(&checks, &queue);
    let sealer =
        parts::sealer(config.master_key_file.required()?, config.old_master_key_file.get())?;
    let klaviyo = parts::klaviyo(config)?;
    let settings = Settings { key_places: parts::key_places(config), ..parts::settings() };
    let control_plane = ControlPlane::for_services(store, sealer, klaviyo, settings);
    let people = parts::people(config, &control_plane).await?;
    let workers = workers.add(grpc::worker_service(Arc::clone(&control_plane)));
    control_plane.grace().await?;

    let mut duties = Duties::new(&drain);
    tracing::info!(people = %people.local_addr()?, workers = %workers.local_addr()?, "serving");
    duties.add(people.serve(drain.clone()));
    duties.add(workers.serve(drain.clone()));
    let (leading, stop, events) = (Arc::clone(&control_plane), drain.soft.clone(), queue.clone());
    duties.add(async move { leading.lead(&events, &events, &stop).await });
    let (obeying, stop, commands) = (control_plane, drain.soft.clone(), queue.clone());
    duties.add(async move { obeying.commands(&commands, &stop).await });
    started.set();
    let ended = duties.done().await;
    queue.close().await;
    ended
}

/// Each worker calls it each second: a span of it would tell nothing.
const RENEW: &str = "/segue.v1.WorkerService/Renew";

/// Whoever gets an API key has to be known, and nobody between may read it.
async fn workers_listener(config: &Config) -> anyhow::Result<Server> {
    let identity = parts::identity(&config.worker_tls_cert_file, &config.worker_tls_key_file)?;
    require_tls_or_loopback(
        "the workers' listener",
        config.worker_listen,
        identity.as_ref(),
        ("worker_tls_cert_file", "worker_tls_key_file"),
    )?;
    let file = config.worker_token_file.required()?;
    let token = Token::new(&segue_service::worker_token(file)?)
        .with_context(|| format!("{} holds characters that no token has", file.display()))?;
    // A reader waits while it is far ahead.
    let limits = Limits { request: std::time::Duration::from_mins(1), ..Limits::default() };
    Ok(Server::bind(config.worker_listen)
        .await?
        .tls(identity)
        .token(token)
        .limits(limits)
        .untraced(&[RENEW]))
}
