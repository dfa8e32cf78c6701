use segue_model::{RunId, RunState, outcome};
use segue_store::{
    Tx,
    write::{
        batches::{self, BatchState},
        connections, jobs, runs,
    },
};

use crate::{ControlPlane, Error};

impl ControlPlane {
    /// Ends the run if it is over. Part of every transaction after which it might be.
    pub(crate) async fn settle(&self, tx: &mut Tx, id: RunId) -> Result<Option<RunState>, Error> {
        // Read anew: the transaction may have changed the row.
        let run = runs::lock(tx, id).await?.ok_or(Error::NoRun(id))?;
        if !runs::may_end(tx, &run).await? {
            return Ok(None);
        }
        let facts = runs::facts(tx, &run).await?;
        let Some(state) = outcome(&facts) else {
            return Ok(None);
        };
        facts.counts.check().map_err(|source| Error::Accounting { run: id, source })?;
        let unsent = batches::give_up_unsent(tx, id).await?;
        self.note_batches(tx, id, BatchState::GivenUp, &unsent).await?;
        jobs::drop_run(tx, id).await?;
        if runs::end(tx, id, state).await? {
            self.note_run(tx, id, state).await?;
        }
        // Klaviyo took what it was sent and said what became of it, so whatever was known against the key is over.
        let has_worked = matches!(state, RunState::Succeeded | RunState::CompletedWithRejects)
            && facts.counts.delivered > 0;
        if let Some(connection) = run.connection.filter(|_| has_worked) {
            connections::mended(tx, connection).await?;
        }
        tracing::info!(run.id = %id, run.state = %state, "run ended");
        Ok(Some(state))
    }
}
