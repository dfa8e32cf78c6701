use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use secrecy::{ExposeSecret as _, SecretString};
use segue_control_plane::ControlPlane;
use segue_queue::{MemoryEvents, MemoryQueue};
use segue_service::{Context, config::Config, trace};
use segue_staging::Staging;
use segue_status::{Status, status_service};
use segue_store::{Store, SystemClock};
use segue_worker::{Settings, Stop, Worker, read::Sources};

use super::{
    console,
    parts::{self, Duties},
};
use crate::{
    data::{ADMIN_TOKEN, DataFolder},
    embedded::{InProcess, SWEEP_EACH},
    ui,
};

pub(super) async fn body(config: &Config, context: Context) -> anyhow::Result<()> {
    let Context { drain, checks, started } = context;
    let folder = DataFolder::open(config.data.get().cloned()).await?;
    let store = Store::open(&folder.database(), Arc::new(SystemClock::start())).await?;
    parts::check_database(&checks, (*store).clone());
    let staging = Staging::open(folder.path().to_owned(), 0)?;
    let sealer =
        parts::sealer(&master_key(config, folder.path())?, config.old_master_key_file.get())?;
    let klaviyo = parts::klaviyo(config)?;
    let decisions = segue_control_plane::Settings {
        key_places: parts::key_places(config),
        ..parts::settings()
    };
    let control_plane =
        ControlPlane::for_services(store.clone(), sealer, klaviyo.clone(), decisions);
    control_plane.recover().await?;
    if config.admin_token_file.get().is_none() {
        first_token(&control_plane, folder.path()).await?;
    }
    let (queue, events) = (MemoryQueue::default(), MemoryEvents::default());
    let status = Status::new((*store).clone(), staging.clone(), drain.soft.clone());
    let people = parts::people(config, &control_plane).await?.add(status_service(status.clone()));
    let pages = match config.console_listen {
        Some(listen) => {
            let within = parts::people_within(config, &control_plane).await?;
            let within = within.add(status_service(status.clone()));
            Some((console::within(config, listen, within.local_addr()?).await?, within))
        }
        None => None,
    };
    let worker = Worker::new(
        InProcess(Arc::clone(&control_plane)),
        queue.clone(),
        staging,
        klaviyo,
        settings(config, &folder)?,
    );

    let mut duties = Duties::new(&drain);
    tracing::info!(people = %people.local_addr()?, data = %folder.path().display(), "serving");
    duties.add(people.serve(drain.clone()));
    if let Some((console, within)) = pages {
        tracing::info!(console = %format_args!("http://{}", console.address()), "serving pages");
        duties.add(within.serve(drain.clone()));
        duties.add(console.serve(drain.clone()));
    }
    let (stop, heard) = (drain.soft.clone(), events.clone());
    duties.add(
        async move { stop.run_until_cancelled(status.follow(&heard)).await.unwrap_or(Ok(())) },
    );
    // What is under way is finished with the control-plane, so that goes on while the worker does.
    let leading = drain.hard.child_token();
    let (stop, without_worker) = (leading.clone(), leading);
    duties.add(async move { control_plane.lead(&queue, &events, &stop).await });
    let stop = Stop { soft: drain.soft.clone(), hard: drain.hard.clone() };
    duties.add(async move {
        let ended = worker.run(stop).await;
        without_worker.cancel();
        ended
    });
    started.set();
    duties.done().await
}

fn settings(config: &Config, folder: &DataFolder) -> anyhow::Result<Settings> {
    let source = match config.source_dir.get() {
        Some(folder) => folder.clone(),
        None => own_source(folder.path())?,
    };
    Ok(Settings {
        read_slots: parts::READ_SLOTS,
        look_slots: parts::LOOK_SLOTS,
        upload_slots: usize::try_from(config.slots)?,
        sources: Sources::Below(source),
        dedupe_memory: config.dedupe_memory,
        batch_profiles: config.batch_profiles,
        scratch: folder.scratch(),
        rereadable: false,
        lease: parts::settings().lease,
        sweep_each: Some(SWEEP_EACH),
        continue_trace: Some(trace::set_parent),
    })
}

/// Where segments lie if nobody says otherwise.
fn own_source(data: &Path) -> anyhow::Result<PathBuf> {
    let folder = data.join("source");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

/// Somebody has to be the first to be let in: whoever starts Segue here for the first time.
async fn first_token(control_plane: &ControlPlane, data: &Path) -> anyhow::Result<()> {
    use std::io::{IsTerminal as _, Write as _};
    let file = data.join(ADMIN_TOKEN);
    let hand_over = |token: &SecretString| {
        let token = token.expose_secret();
        if std::io::stdout().is_terminal() {
            let words =
                "The token of the first administrator, shown this once (see `segue tokens`):";
            ui::say(format_args!("{words}\n{token}"));
            return Ok(());
        }
        let write = || {
            // Left by a start that did not come to its end, its token is good for nothing.
            if file.exists() {
                fs::remove_file(&file)?;
            }
            let mut made = private_file(&file)?;
            made.write_all(format!("{token}\n").as_bytes())?;
            made.sync_all()
        };
        write().with_context(|| format!("cannot write {}", file.display()))?;
        tracing::info!(file = %file.display(), "the token of the first administrator");
        anyhow::Ok(())
    };
    control_plane.create_first_token(hand_over).await?;
    Ok(())
}

/// A new file for its owner only.
fn private_file(file: &Path) -> std::io::Result<fs::File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    fs::File::options().write(true).create_new(true).mode(0o600).open(file)
}

/// The file of the master key: the one that is configured, or one in the data folder, made at the first start.
fn master_key(config: &Config, data: &Path) -> anyhow::Result<PathBuf> {
    use std::io::Write as _;
    if let Some(file) = config.master_key_file.get() {
        return Ok(file.clone());
    }
    let file = data.join("master-key");
    match private_file(&file) {
        Ok(mut made) => {
            let mut key = [0; 32];
            let random = ring::rand::SystemRandom::new();
            ring::rand::SecureRandom::fill(&random, &mut key)
                .map_err(|_| anyhow::anyhow!("this machine gives no random bytes"))?;
            let [high, low] = [0, 16].map(|at| {
                let half = key[at..].first_chunk().copied().unwrap_or_default();
                u128::from_be_bytes(half)
            });
            made.write_all(format!("{high:032x}{low:032x}\n").as_bytes())
                .and_then(|()| made.sync_all())
                .with_context(|| format!("cannot write {}", file.display()))?;
            tracing::info!(file = %file.display(), "a master key was made: whoever loses it loses the API keys");
        }
        Err(err) if err.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(err) => return Err(err).with_context(|| format!("cannot make {}", file.display())),
    }
    Ok(file)
}
