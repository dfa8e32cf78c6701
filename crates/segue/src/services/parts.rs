//! What several services are made of.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use segue_control_plane::{ControlPlane, KeyPlaces, Sealer, Settings, grpc};
use segue_klaviyo::Client;
use segue_queue::{RabbitQueue, RabbitSettings};
use segue_service::{
    Checks, Drain,
    config::{Config, Setting},
    grpc::{Identity, Server},
    trace,
};
use segue_store::{Reader, read};
use tokio::task::JoinSet;

use super::gate::People;

/// Segments that one worker reads at a time: each has the memory for its identities to itself.
pub(super) const READ_SLOTS: usize = 2;

/// Questions about files that one worker answers at a time, beside whatever else it does.
pub(super) const LOOK_SLOTS: usize = 2;

/// All that a service does at a time. The first that fails ends the service.
#[derive(Debug)]
pub(super) struct Duties {
    tasks: JoinSet<anyhow::Result<()>>,
    drain: Drain,
}

impl Duties {
    pub(super) fn new(drain: &Drain) -> Self {
        Self { tasks: JoinSet::new(), drain: drain.clone() }
    }

    pub(super) fn add<E>(&mut self, duty: impl Future<Output = Result<(), E>> + Send + 'static)
    where
        E: Into<anyhow::Error>,
    {
        self.tasks.spawn(async move { duty.await.map_err(Into::into) });
    }

    /// Returns when all are done, or the time for it is over.
    pub(super) async fn done(mut self) -> anyhow::Result<()> {
        let hard = self.drain.hard.clone();
        let mut result = Ok(());
        let finish = async {
            while let Some(done) = self.tasks.join_next().await {
                let failed = done.context("a part of the service panicked").and_then(|done| done);
                if let Err(err) = failed {
                    tracing::error!(error = segue_service::sentence(err.as_ref()), "stopping");
                    self.drain.soft.cancel();
                    if result.is_ok() {
                        result = Err(err);
                    }
                }
            }
        };
        hard.run_until_cancelled(finish).await;
        result
    }
}

pub(super) fn klaviyo(config: &Config) -> anyhow::Result<Client> {
    let mut settings = segue_klaviyo::Config::for_base_url(config.klaviyo_url.clone());
    if let Some(revision) = config.klaviyo_revision.get() {
        settings.revision.clone_from(revision);
    }
    Client::new(&settings).with_context(|| format!("cannot use {}", config.klaviyo_url))
}

pub(super) async fn rabbit(config: &Config, name: &str) -> anyhow::Result<RabbitQueue> {
    let settings = RabbitSettings {
        name: name.to_owned(),
        ..RabbitSettings::new(config.amqp_url.required()?.expose(), &config.amqp_prefix)
    };
    Ok(RabbitQueue::connect(settings).await?)
}

/// `old`: of the master key that was there before.
pub(super) fn sealer(file: &Path, old: Option<&PathBuf>) -> anyhow::Result<Sealer> {
    use secrecy::ExposeSecret as _;
    let key = segue_service::master_key(file)?;
    let sealer = Sealer::new(key.expose_secret());
    let old = old.map(|file| segue_service::master_key(file)).transpose()?;
    Ok(match old {
        Some(old) => sealer.with_old(old.expose_secret()),
        None => sealer,
    })
}

pub(super) fn identity(
    cert: &Setting<std::path::PathBuf>,
    key: &Setting<std::path::PathBuf>,
) -> anyhow::Result<Option<Identity>> {
    match (cert.get(), key.get()) {
        (Some(_), _) | (_, Some(_)) => Ok(Some(Identity::read(cert.required()?, key.required()?)?)),
        (None, None) => Ok(None),
    }
}

/// How the control-plane of services behaves.
pub(super) fn settings() -> Settings {
    Settings {
        current_trace: trace::current_traceparent,
        continue_trace: trace::set_parent,
        ..Settings::of_services()
    }
}

/// Where keys are that connections refer to.
pub(super) fn key_places(config: &Config) -> KeyPlaces {
    // For words that say which of several control-planes did not find a key.
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let machine = match machine.trim() {
        "" => "this machine",
        name => name,
    };
    KeyPlaces {
        env_prefix: config.key_env_prefix.clone(),
        folder: config.key_dir.get().cloned(),
        ..KeyPlaces::of_process(machine.to_owned())
    }
}

/// The listener of people and programs, with the services of the control-plane.
pub(super) async fn people(
    config: &Config,
    control_plane: &Arc<ControlPlane>,
) -> anyhow::Result<Server> {
    let identity = identity(&config.tls_cert_file, &config.tls_key_file)?;
    people_at(config.listen, identity, config, control_plane).await
}

/// The same for the console of this process. It is a client like any other, and the certificate of the listener
/// above need not be for the name of this machine: so it has a listener of its own, on loopback.
pub(super) async fn people_within(
    config: &Config,
    control_plane: &Arc<ControlPlane>,
) -> anyhow::Result<Server> {
    people_at((Ipv4Addr::LOCALHOST, 0).into(), None, config, control_plane).await
}

async fn people_at(
    address: SocketAddr,
    identity: Option<Identity>,
    config: &Config,
    control_plane: &Arc<ControlPlane>,
) -> anyhow::Result<Server> {
    Ok(Server::bind(address)
        .await?
        .tls(identity)
        .gate(People::new(config, (**control_plane.store()).clone(), Some(control_plane))?)
        .reflect(segue_proto::DESCRIPTORS)?
        .add(grpc::connection_service(Arc::clone(control_plane)))
        .add(grpc::export_service(Arc::clone(control_plane)))
        .add(grpc::list_service(Arc::clone(control_plane)))
        .add(grpc::run_service(Arc::clone(control_plane)))
        .add(grpc::source_service(Arc::clone(control_plane)))
        .add(grpc::schedule_service(Arc::clone(control_plane)))
        .add(grpc::token_service(Arc::clone(control_plane)))
        .add(grpc::audit_service(Arc::clone(control_plane)))
        .add(grpc::job_service(Arc::clone(control_plane))))
}

/// Whether the database answers.
pub(super) fn check_database(checks: &Checks, store: Reader) {
    checks.add("database", move || {
        let store = store.clone();
        async move {
            let answer =
                tokio::time::timeout(Duration::from_secs(2), read::unfinished(&store)).await;
            match answer {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(err)) => Err(segue_service::sentence(&err)),
                Err(_) => Err("it does not answer".to_owned()),
            }
        }
    });
}

/// Whether the broker answers.
pub(super) fn check_broker(checks: &Checks, queue: &RabbitQueue) {
    let queue = queue.clone();
    checks.add("rabbitmq", move || {
        let queue = queue.clone();
        async move { queue.check().map_err(|err| segue_service::sentence(&err)) }
    });
}
