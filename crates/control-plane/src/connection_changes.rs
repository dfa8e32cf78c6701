use std::sync::Arc;

use segue_access::Principal;
use segue_model::{ConnectionId, ExportId, Micros};
use segue_store::{
    Tx, read_admin,
    write::{
        connections::{self, Connection, Consent, SealedKey},
        exports,
    },
};
use serde::Serialize;
use serde_json::json;

use crate::{
    ControlPlane, Error, Refusal, SavedExport, Sharing, Thing,
    audit::{Action, changes, note},
    connections::{GivenKey, TriedKey, refuse_future},
    exports::lock_export,
    refusal::Obstacle,
    schedules::lock_system,
};

/// What is to be different about a connection; `None`: as it is.
#[derive(Debug, Clone, Default)]
pub struct ConnectionChange {
    pub display_name: Option<String>,
    pub sharing: Option<Sharing>,
    /// Of the same account of Klaviyo.
    pub key: Option<GivenKey>,
    /// Its version, and who has accepted it when; `None`: now.
    pub consent: Option<(String, String, Option<Micros>)>,
}

/// What became of the keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rotated {
    /// How many were sealed anew.
    pub resealed: u32,
    /// How many the present master key had sealed already.
    pub current: u32,
    /// Those that no master key opens which this process has.
    pub unreadable: Vec<ConnectionId>,
    /// How many are kept elsewhere, and so by no master key.
    pub elsewhere: u32,
}

/// Nobody reads more of them in an error.
const SHOWN: u32 = 20;

/// A connection, as the audit record tells it.
#[derive(Serialize)]
pub(crate) struct Told<'a> {
    display_name: &'a str,
    account_id: &'a str,
    consent_version: &'a str,
    consent_by: &'a str,
    consent_at: String,
    sharing: Sharing,
    /// Not the key: a name for it that tells it from another.
    key: String,
}

pub(crate) fn told<'a>(connection: &'a Connection, key: &SealedKey) -> Result<Told<'a>, Error> {
    let Connection { display_name, account_id, consent, .. } = connection;
    Ok(Told {
        display_name,
        account_id,
        consent_version: &consent.text_version,
        consent_by: &consent.accepted_by,
        consent_at: consent.accepted.to_string(),
        sharing: Sharing::of(connection)?,
        key: match &connection.reference {
            Some(kept) => kept.at.to_string(),
            // Sealed twice it is another text, so it changes whenever somebody gave a key.
            None => key.sealed.get(..8).unwrap_or_default().to_owned(),
        },
    })
}

impl ControlPlane {
    /// Changes a connection. A new key is tried at Klaviyo first.
    pub async fn update_connection(
        self: &Arc<Self>,
        id: ConnectionId,
        change: &ConnectionChange,
        by: &Principal,
    ) -> Result<Connection, Error> {
        let asked = match &change.key {
            Some(key) => Some((key.field(), self.try_key(id, key).await?)),
            None => None,
        };
        self.store
            .retry("update_connection", || async {
                let mut tx = self.store.begin().await?;
                let (mut connection, mut key) = lock_connection(&mut tx, id).await?;
                let before = (connection.clone(), key.clone());
                if let Some((field, TriedKey { sealed, reference, account })) = &asked {
                    if account.id != connection.account_id {
                        let (new, old) = (&account.id, &connection.account_id);
                        let words = format!(
                            "belongs to the Klaviyo account {new}, and the connection to {old}, whose lists its \
                             exports name: make a connection of its own for {new}"
                        );
                        return Err(Refusal::invalid(*field, words).into());
                    }
                    key.clone_from(sealed);
                    connection.reference.clone_from(reference);
                    // What was known of the old one says nothing of this one, which Klaviyo has taken just now.
                    connection.key_since = tx.now();
                    connection.checked = Some(tx.now());
                    connection.problem = None;
                    connection.account_name = account.name.clone().unwrap_or_default();
                }
                if let Some(name) = &change.display_name {
                    connection.display_name.clone_from(name);
                }
                if let Some(sharing) = &change.sharing {
                    connection.sharing = sharing.to_row()?;
                }
                if let Some((version, accepted_by, at)) = &change.consent {
                    refuse_future(*at, tx.now())?;
                    connection.consent = Consent {
                        text_version: version.clone(),
                        accepted_by: accepted_by.clone(),
                        accepted: at.unwrap_or(tx.now()),
                    };
                }
                if (&connection, &key) != (&before.0, &before.1) {
                    connections::update(&mut tx, &connection, &key).await?;
                    let detail = changes(&told(&before.0, &before.1)?, &told(&connection, &key)?)?;
                    note(&mut tx, by, Action::ConnectionUpdate, id, &detail).await?;
                    tracing::info!(connection.id = %id, by = ?by.subject, "connection changed");
                }
                tx.commit().await?;
                Ok(connection)
            })
            .await
    }

    /// Refused while an export or a run uses it. `detach`: exports lose it instead, and runs are cancelled.
    /// Returns the exports that lost it.
    pub async fn delete_connection(
        &self,
        id: ConnectionId,
        detach: bool,
        by: &Principal,
    ) -> Result<Vec<ExportId>, Error> {
        let delete = || self.try_delete_connection(id, detach, by);
        let detached = self.store.retry("delete_connection", delete).await?;
        self.sweep_removed().await?;
        Ok(detached)
    }

    async fn try_delete_connection(
        &self,
        id: ConnectionId,
        detach: bool,
        by: &Principal,
    ) -> Result<Vec<ExportId>, Error> {
        let mut tx = self.store.begin().await?;
        let system = lock_system(&mut tx).await?;
        let mut detached = Vec::new();
        if detach {
            // Before the connection, as whoever starts a run of them locks them.
            for export in exports::of_connection(&mut tx, id).await? {
                exports::lock(&mut tx, export).await?;
            }
        }
        let (connection, key) = lock_connection(&mut tx, id).await?;
        if detach {
            detached = exports::of_connection(&mut tx, id).await?;
            for export in &detached {
                let mut export = lock_export(&mut tx, *export).await?;
                export.fields.connection = None;
                export.updated = tx.now();
                export.plan_ahead(system.as_ref(), tx.now());
                exports::update(&mut tx, &export.to_row()?).await?;
            }
        } else {
            refuse_while_used(&mut tx, id).await?;
        }
        connections::remove(&mut tx, id).await?;
        for export in &detached {
            let detail = json!({ "before": { "connection": id } });
            note(&mut tx, by, Action::ExportDetach, export, &detail).await?;
        }
        let detail = json!({ "before": told(&connection, &key)? });
        note(&mut tx, by, Action::ConnectionDelete, id, &detail).await?;
        tx.commit().await?;
        tracing::info!(connection.id = %id, by = ?by.subject, "connection deleted");
        Ok(detached)
    }

    /// Cancels the runs of removed connections, and destroys the keys that no run needs any more.
    pub(crate) async fn sweep_removed(&self) -> Result<(), Error> {
        let mut tx = self.store.begin().await?;
        let runs = connections::runs_of_removed(&mut tx).await?;
        tx.commit().await?;
        for run in runs {
            self.store.retry("cancel", || self.cancel_run(run)).await?;
        }
        let mut tx = self.store.begin().await?;
        let gone = connections::forget_removed(&mut tx).await?;
        tx.commit().await?;
        if gone > 0 {
            tracing::info!(keys = gone, "keys of removed connections destroyed");
        }
        Ok(())
    }

    /// Seals all keys with the present master key.
    pub async fn rotate_keys(&self, by: &Principal) -> Result<Rotated, Error> {
        self.store.retry("rotate_keys", || self.try_rotate_keys(by)).await
    }

    async fn try_rotate_keys(&self, by: &Principal) -> Result<Rotated, Error> {
        let sealer = &self.vault()?.sealer;
        let mut tx = self.store.begin().await?;
        let mut rotated = Rotated::default();
        for id in connections::all(&mut tx).await? {
            // Removed meanwhile, or about to go.
            let Some((connection, key)) = connections::lock(&mut tx, id).await? else { continue };
            if connection.reference.is_some() {
                rotated.elsewhere += 1;
                continue;
            }
            if key.master_key == sealer.id() {
                rotated.current += 1;
                continue;
            }
            match sealer.open(id, &key) {
                Ok(plain) => {
                    let key = sealer.seal(id, &plain)?;
                    connections::update(&mut tx, &connection, &key).await?;
                    rotated.resealed += 1;
                }
                Err(err) => {
                    tracing::warn!(connection.id = %id, error = %err, "key not sealed anew");
                    rotated.unreadable.push(id);
                }
            }
        }
        if rotated.resealed > 0 {
            let detail =
                json!({ "after": { "master_key": sealer.id(), "keys": rotated.resealed } });
            note(&mut tx, by, Action::KeysRotate, "", &detail).await?;
        }
        tx.commit().await?;
        tracing::info!(master_key = sealer.id(), keys = rotated.resealed, "keys sealed anew");
        Ok(rotated)
    }

    /// A connection, if `by` may know of it.
    pub async fn connection(&self, id: ConnectionId, by: &Principal) -> Result<Connection, Error> {
        let found = read_admin::connection(&self.store, id).await?;
        let shown = found.map(|(connection, _)| connection).filter(|it| sees(by, it));
        shown.ok_or_else(|| Refusal::no_such(Thing::Connection, id).into())
    }

    /// At most `most` connections behind `after`, by id, of those that `by` may know of.
    pub async fn connections(
        &self,
        after: Option<ConnectionId>,
        most: u32,
        by: &Principal,
    ) -> Result<Vec<Connection>, Error> {
        let shared = !is_administrator(by);
        Ok(read_admin::connections(&self.store, after, shared, most).await?)
    }

    /// Makes a copy of an export, which belongs to `by` and is disabled, so that nothing runs twice unasked.
    pub async fn duplicate_export(
        &self,
        of: ExportId,
        display_name: Option<String>,
        request_id: Option<&str>,
        by: &Principal,
    ) -> Result<SavedExport, Error> {
        const COPY: &str = " (copy)";
        /// As long as a name may be, with that behind it.
        const KEPT: usize = 93;
        let mut fields = self.export(of).await?.fields;
        fields.display_name = display_name.unwrap_or_else(|| {
            let kept: String = fields.display_name.chars().take(KEPT).collect();
            kept + COPY
        });
        fields.disabled = true;
        self.create_export(&fields, request_id, by).await
    }
}

pub(crate) fn is_administrator(by: &Principal) -> bool {
    by.require(segue_access::Role::Administrator).is_ok()
}

/// Whether `by` may know of it.
pub(crate) fn sees(by: &Principal, connection: &Connection) -> bool {
    connection.sharing.contributors || is_administrator(by)
}

async fn refuse_while_used(tx: &mut Tx, id: ConnectionId) -> Result<(), Error> {
    let (exports, runs) = connections::users(tx, id, SHOWN).await?;
    let by = |code, what: &'static str| {
        move |subject: String| {
            let words = format!("the {what} {subject} uses the connection");
            Obstacle { code, subject, words }
        }
    };
    let exports = exports.into_iter().map(by("USED_BY_EXPORT", "export"));
    let runs = runs.into_iter().map(by("USED_BY_RUN", "run"));
    let obstacles: Vec<_> = exports.chain(runs).collect();
    if obstacles.is_empty() { Ok(()) } else { Err(Refusal::Blocked(obstacles).into()) }
}

pub(crate) async fn lock_connection(
    tx: &mut Tx,
    id: ConnectionId,
) -> Result<(Connection, SealedKey), Error> {
    let found = connections::lock(tx, id).await?;
    found.ok_or_else(|| Refusal::no_such(Thing::Connection, id).into())
}
