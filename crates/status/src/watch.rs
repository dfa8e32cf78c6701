//! Watches of runs. All who watch the same run share one look at the store.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::{Stream, stream};
use segue_model::{RunId, RunView};
use segue_proto::v1;
use segue_store::{Reader, read};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::error;

#[cfg(test)]
mod tests;

/// How fast things may go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Nobody who watches gets messages faster than this.
    between_messages: Duration,
    /// While no event is heard, the store is looked at so often.
    without_events: Duration,
    /// However many events are heard, they cause no more than a look each so often.
    between_looks: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            between_messages: Duration::from_secs(1),
            without_events: Duration::from_secs(1),
            between_looks: Duration::from_millis(200),
        }
    }
}

/// The runs that somebody watches.
#[derive(Debug)]
pub(crate) struct Watches {
    store: Reader,
    pace: Pace,
    stop: CancellationToken,
    watched: Mutex<HashMap<RunId, Arc<Watched>>>,
}

/// A run that somebody watches.
#[derive(Debug)]
struct Watched {
    last: watch::Sender<Look>,
    /// How many have come. Each has to see a look that began after it came: what it did before, such as a
    /// cancel, must be in it.
    came: AtomicU64,
    /// Somebody has come.
    look_now: Notify,
    /// Something may have changed.
    look_soon: Notify,
}

/// What was seen.
#[derive(Debug, Clone)]
struct Look {
    /// Who had come by the time when it began.
    came: u64,
    seen: Seen,
}

#[derive(Debug, Clone)]
enum Seen {
    Nothing,
    Run(Arc<RunView>),
    /// Nothing more will be seen.
    Failed(Status),
}

impl Watches {
    /// Until `stop`, which ends every watch.
    pub(crate) fn new(store: Reader, pace: Pace, stop: CancellationToken) -> Arc<Self> {
        Arc::new(Self { store, pace, stop, watched: Mutex::default() })
    }

    /// An event was heard of this run.
    pub(crate) fn heard(&self, run: RunId) {
        if let Some(watched) = self.lock().get(&run) {
            watched.look_soon.notify_one();
        }
    }

    /// Events were missed: anything may have changed.
    pub(crate) fn missed(&self) {
        for watched in self.lock().values() {
            watched.look_soon.notify_one();
        }
    }

    /// The run as it stands now, then what becomes of it, and its end. An error if there is no such run.
    pub(crate) async fn watch(
        self: &Arc<Self>,
        run: RunId,
    ) -> Result<impl Stream<Item = Result<v1::WatchRunResponse, Status>> + Send + use<>, Status>
    {
        let watching = self.join(run).first().await?;
        let state = Some((watching, self.stop.clone()));
        Ok(stream::unfold(state, |state| async {
            let (mut watching, stop) = state?;
            let next = stop.run_until_cancelled(watching.next()).await;
            // Whoever is not told of the end of the run has to know that there is more to see.
            match next.unwrap_or_else(|| Err(error::stopping())).transpose()? {
                Ok(view) => Some((Ok(watching.tell(view)), Some((watching, stop)))),
                Err(status) => Some((Err(status), None)),
            }
        }))
    }

    fn join(self: &Arc<Self>, run: RunId) -> Newcomer {
        let mut watched = self.lock();
        let found = watched.entry(run).or_insert_with(|| {
            let (last, _) = watch::channel(Look { came: 0, seen: Seen::Nothing });
            let new = Arc::new(Watched {
                last,
                came: AtomicU64::new(0),
                look_now: Notify::new(),
                look_soon: Notify::new(),
            });
            let looker = Looker { watches: Arc::clone(self), run, watched: Arc::clone(&new) };
            tokio::spawn(looker.look_on());
            new
        });
        let looks = found.last.subscribe();
        let ticket = found.came.fetch_add(1, Ordering::SeqCst) + 1;
        found.look_now.notify_one();
        Newcomer { looks, ticket, between_messages: self.pace.between_messages }
    }

    /// No code that holds the lock leaves the map half changed, so a panic elsewhere does not matter.
    fn lock(&self) -> MutexGuard<'_, HashMap<RunId, Arc<Watched>>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks at the store for all who watch one run, as long as there are any.
struct Looker {
    watches: Arc<Watches>,
    run: RunId,
    watched: Arc<Watched>,
}

impl Looker {
    async fn look_on(self) {
        let last = &self.watched.last;
        loop {
            let came = self.watched.came.load(Ordering::SeqCst);
            let began = Instant::now();
            let (seen, over) = self.look().await;
            last.send_replace(Look { came, seen });
            let alone = tokio::select! {
                () = last.closed() => true,
                () = self.somebody_comes(came) => false,
                () = self.until_something_may_have_changed(began), if !over => false,
                () = std::future::ready(()), if over => false,
            };
            if (over || alone) && self.leave(came) {
                return;
            }
        }
    }

    /// What is there, and whether nothing more will come.
    async fn look(&self) -> (Seen, bool) {
        let failed = |status| (Seen::Failed(status), true);
        match read::run(&self.watches.store, self.run).await {
            Ok(Some(view)) => {
                let over = view.state.is_terminal();
                (Seen::Run(Arc::new(view)), over)
            }
            Ok(None) => failed(error::no_run(self.run)),
            Err(err) => failed(error::store(&err)),
        }
    }

    async fn until_something_may_have_changed(&self, last: Instant) {
        let pace = self.watches.pace;
        tokio::select! {
            () = self.watched.look_soon.notified() => {
                sleep_until(last + pace.between_looks).await;
            }
            () = sleep(pace.without_events) => {}
        }
    }

    async fn somebody_comes(&self, came: u64) {
        while self.watched.came.load(Ordering::SeqCst) == came {
            self.watched.look_now.notified().await;
        }
    }

    /// `false`: somebody has come meanwhile, and is there.
    fn leave(&self, came: u64) -> bool {
        let mut watched = self.watches.lock();
        let new = self.watched.came.load(Ordering::SeqCst) > came;
        let stays = new && self.watched.last.receiver_count() > 0;
        if !stays {
            self.forget(&mut watched);
        }
        !stays
    }

    fn forget(&self, watched: &mut HashMap<RunId, Arc<Watched>>) {
        if watched.get(&self.run).is_some_and(|it| Arc::ptr_eq(it, &self.watched)) {
            watched.remove(&self.run);
        }
    }
}

impl Drop for Looker {
    /// Also after a panic: nobody may wait for a look that never comes.
    fn drop(&mut self) {
        self.forget(&mut self.watches.lock());
        self.watched.last.send_if_modified(|look| {
            let unfinished = match &look.seen {
                Seen::Nothing => true,
                Seen::Run(view) => !view.state.is_terminal(),
                Seen::Failed(_) => false,
            };
            if unfinished {
                let status = error::unavailable("the watch has ended early: watch again");
                look.seen = Seen::Failed(status);
                look.came = u64::MAX;
            }
            unfinished
        });
    }
}

/// One who has come to watch a run.
struct Newcomer {
    looks: watch::Receiver<Look>,
    ticket: u64,
    between_messages: Duration,
}

impl Newcomer {
    /// Waits for the run as it stands now.
    async fn first(mut self) -> Result<Watching, Status> {
        let look = self.looks.wait_for(|look| look.came >= self.ticket).await;
        let seen = look.map(|look| look.seen.clone());
        let Self { looks, between_messages, .. } = self;
        match seen {
            Ok(Seen::Run(last)) => Ok(Watching { looks, between_messages, last, told: None }),
            Ok(Seen::Failed(status)) => Err(status),
            Ok(Seen::Nothing) | Err(_) => Err(Status::internal("the watch has seen nothing")),
        }
    }
}

/// One who watches a run.
struct Watching {
    looks: watch::Receiver<Look>,
    between_messages: Duration,
    last: Arc<RunView>,
    /// When `last` was told; `None`: not yet.
    told: Option<Instant>,
}

impl Watching {
    /// What is to be told next, but not sooner than a message may follow the one before. `None`: it is over.
    async fn next(&mut self) -> Result<Option<Arc<RunView>>, Status> {
        let Some(told) = self.told else { return Ok(Some(Arc::clone(&self.last))) };
        if self.last.state.is_terminal() {
            return Ok(None);
        }
        sleep_until(told + self.between_messages).await;
        loop {
            let seen = self.looks.borrow_and_update().seen.clone();
            match seen {
                Seen::Run(view) if view != self.last => return Ok(Some(view)),
                Seen::Failed(status) => return Err(status),
                Seen::Run(_) | Seen::Nothing => {}
            }
            if self.looks.changed().await.is_err() {
                return Err(error::unavailable("the watch has ended early: watch again"));
            }
        }
    }

    fn tell(&mut self, view: Arc<RunView>) -> v1::WatchRunResponse {
        self.told = Some(Instant::now());
        let run = RunView::clone(&view).into();
        self.last = view;
        v1::WatchRunResponse { run: Some(run) }
    }
}
