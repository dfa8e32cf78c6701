use anyhow::{Context as _, bail};
use segue_service::{
    Context,
    config::Config,
    grpc::{Client, Target, Token},
    trace,
};
use segue_staging::Staging;
use segue_worker::{Remote, Settings, Stop, Worker, read::Sources};

use super::parts::{self, Duties};
use crate::embedded::SWEEP_EACH;

pub(super) async fn body(config: &Config, context: Context) -> anyhow::Result<()> {
    let Context { drain, checks, started } = context;
    let staging = Staging::open_shared(config.staging_dir.required()?.clone())?;
    let klaviyo = parts::klaviyo(config)?;
    let control_plane = Remote::new(control_plane(config)?);
    let queue = parts::rabbit(config, "segue-worker").await?;
    parts::check_broker(&checks, &queue);
    let settings = Settings {
        read_slots: parts::READ_SLOTS,
        look_slots: parts::LOOK_SLOTS,
        lease: parts::settings().lease,
        upload_slots: usize::try_from(config.slots)?,
        sources: Sources::Below(config.source_dir.required()?.clone()),
        dedupe_memory: config.dedupe_memory,
        batch_profiles: config.batch_profiles,
        scratch: config.scratch_dir.clone(),
        rereadable: false,
        sweep_each: Some(SWEEP_EACH),
        continue_trace: Some(trace::set_parent),
    };
    let worker = Worker::new(control_plane.clone(), queue.clone(), staging, klaviyo, settings);

    let mut duties = Duties::new(&drain);
    tracing::info!("working");
    let stop = Stop { soft: drain.soft.clone(), hard: drain.hard.clone() };
    duties.add(async move {
        let ended = worker.run(stop).await;
        // What Klaviyo took and only this process knows.
        control_plane.told().await;
        ended.context("check worker_token_file: the control-plane needs the same token")
    });
    started.set();
    let ended = duties.done().await;
    queue.close().await;
    ended
}

fn control_plane(config: &Config) -> anyhow::Result<Client> {
    let file = config.worker_token_file.required()?;
    let token = Token::new(&segue_service::worker_token(file)?)
        .with_context(|| format!("{} holds characters that no token has", file.display()))?;
    let [url, replicas @ ..] = &*config.control_plane_url else {
        bail!("control_plane_url is empty")
    };
    let target = Target {
        replicas,
        ca: config.worker_tls_ca_file.get().map(AsRef::as_ref),
        token: Some(token),
        ..Target::new(url)
    };
    Ok(Client::new(target)?)
}
