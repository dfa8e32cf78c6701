use std::time::Duration;

use segue_access::{Part, Principal};
use segue_model::{Cause, RunId};
use segue_queue::{
    Command, CommandReceipt as _, Commands, Malformed, QueueError, Receipt as _, ReceivedCommand,
};
use segue_store::write::events::{self, Rejected};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::{ControlPlane, Error, Refusal, Start, StartOptions};

/// What became of a command. Whichever it is, it is committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obeyed {
    Started(RunId),
    Cancelled(RunId),
    /// It cannot be obeyed, and the event `command.rejected` says why.
    Rejected {
        /// A code, as in the event.
        reason: String,
        words: String,
    },
}

const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

impl ControlPlane {
    /// Obeys commands that come by messages, one after the other, until `stop`. A message is settled after
    /// what it asks for is committed; if the store does not work, it is tried until it does.
    pub async fn commands<C: Commands>(
        &self,
        queue: &C,
        stop: &CancellationToken,
    ) -> Result<(), Error> {
        loop {
            let received = stop.run_until_cancelled(queue.receive_command());
            let (received, receipt) = match received.await {
                None => return Ok(()),
                Some(Ok(received)) => received,
                Some(Err(err @ (QueueError::Unavailable { .. } | QueueError::NotKept { .. }))) => {
                    tracing::warn!(error = %err, "no commands for the moment");
                    stop.run_until_cancelled(tokio::time::sleep(FIRST_WAIT)).await;
                    continue;
                }
                Some(Err(err)) => return Err(err.into()),
            };
            let span = tracing::info_span!("command", command.name = name(&received));
            if let Some(trace) = &received.trace {
                (self.settings.continue_trace)(&span, trace);
            }
            let settled = async {
                let done = stop.run_until_cancelled(self.obey_at_last(&received)).await;
                // A message that is given back is delivered to somebody else.
                let Some(obeyed) = done else { return Ok(()) };
                kill_points::at("control_plane.command_obeyed");
                match obeyed {
                    Obeyed::Rejected { words, .. } => receipt.reject(&words).await,
                    Obeyed::Started(_) | Obeyed::Cancelled(_) => receipt.ack().await,
                }
            };
            let settled = settled.instrument(span).await;
            kill_points::at("control_plane.command_settled");
            if let Err(err) = settled {
                // It comes again, and changes nothing then.
                tracing::warn!(error = %err, "a command could not be settled");
            }
        }
    }

    async fn obey_at_last(&self, received: &ReceivedCommand) -> Obeyed {
        let mut wait = FIRST_WAIT;
        loop {
            let done = match &received.command {
                Ok(command) => self.obey(command, received.trace.as_deref()).await,
                Err(malformed) => self.reject_malformed(malformed).await,
            };
            match done {
                Ok(obeyed) => return obeyed,
                Err(err) => {
                    let err = &err as &dyn std::error::Error;
                    tracing::error!(error = err, ?wait, "a command has to wait");
                }
            }
            tokio::time::sleep(wait).await;
            wait = (2 * wait).min(LONGEST_WAIT);
        }
    }

    /// Does what a command asks for. The same command again changes nothing. An error says that it may be
    /// obeyed later.
    pub async fn obey(&self, command: &Command, trace: Option<&str>) -> Result<Obeyed, Error> {
        let (done, run) = match command {
            Command::Start { export, request_id } => {
                let start = Start {
                    export: *export,
                    request_id: request_id.clone(),
                    cause: Cause::Command,
                    by: Principal::segue(Part::Queue),
                    trace: (self.settings.current_trace)().or_else(|| trace.map(str::to_owned)),
                    options: StartOptions::default(),
                };
                (self.start_export(&start).await.map(|view| Obeyed::Started(view.run)), None)
            }
            Command::Cancel { run, .. } => (
                self.cancel(*run, &Principal::segue(Part::Queue))
                    .await
                    .map(|view| Obeyed::Cancelled(view.run)),
                Some(*run),
            ),
        };
        match done {
            Err(Error::Refused(refusal)) if is_final(&refusal) => {
                let request_id = Some(command.request_id().to_owned());
                self.reject(request_id, run, code(&refusal), refusal.to_string()).await
            }
            done => done,
        }
    }

    async fn reject_malformed(&self, malformed: &Malformed) -> Result<Obeyed, Error> {
        let (request_id, words) = (malformed.request_id.clone(), malformed.words.clone());
        self.reject(request_id, None, "malformed".to_owned(), words).await
    }

    async fn reject(
        &self,
        request_id: Option<String>,
        run: Option<RunId>,
        reason: String,
        words: String,
    ) -> Result<Obeyed, Error> {
        let event = format!("command/{}", Uuid::now_v7());
        let request_id = request_id.as_deref();
        let rejected = Rejected { run, request_id, reason: &reason, detail: &words };
        let mut tx = self.store.begin().await?;
        events::rejected(&mut tx, &event, &rejected).await?;
        tx.commit().await?;
        tracing::warn!(reason, "command rejected: {words}");
        self.signals.events.notify_one();
        Ok(Obeyed::Rejected { reason, words })
    }
}

fn name(received: &ReceivedCommand) -> &'static str {
    match received.command {
        Ok(Command::Start { .. }) => "run.start",
        Ok(Command::Cancel { .. }) => "run.cancel",
        Err(_) => "malformed",
    }
}

/// Whether the same command would be refused again whoever repeats it.
fn is_final(refusal: &Refusal) -> bool {
    match refusal {
        Refusal::Invalid(_)
        | Refusal::NoSuch { .. }
        | Refusal::RequestUsed { .. }
        | Refusal::Denied(_)
        | Refusal::Blocked(_) => true,
        Refusal::Unreachable { .. } => false,
    }
}

/// The code in the event.
fn code(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Invalid(_) => "invalid".to_owned(),
        Refusal::NoSuch { thing, .. } => format!("no_such_{thing}"),
        Refusal::RequestUsed { .. } => "request_id_used".to_owned(),
        Refusal::Blocked(obstacles) => {
            let first = obstacles.first().map_or("BLOCKED", |obstacle| obstacle.code);
            first.to_ascii_lowercase()
        }
        Refusal::Denied(_) => "denied".to_owned(),
        Refusal::Unreachable { .. } => "unreachable".to_owned(),
    }
}
