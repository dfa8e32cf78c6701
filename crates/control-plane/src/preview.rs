//! What a run of an export would send now, for whoever wants to see it before it runs.

use std::sync::Arc;

use segue_access::Principal;
use segue_klaviyo::{CallError, Client, MAX_EMAILS};
use segue_model::{
    Endpoint, ExportId,
    estimate::{Between, least_seconds},
    guards::SegmentRead,
    look::{Asked, Found, Preview, Sums},
};
use segue_profile::Mapping;
use segue_store::{StoreError, write::guards};

use crate::{
    ControlPlane, Error, Refusal, SavedExport, ask::AskError, exports::text,
    segments::another_question, verify::Scope,
};

/// What a run would send, and what is known of those people.
#[derive(Debug)]
pub struct Previewed {
    pub mapping: Mapping,
    pub preview: Preview,
    /// Whole seconds at Klaviyo's limits.
    pub least_seconds: u64,
    pub new: NewProfiles,
    /// Which guard would stop a run now. `None`: none, or not everything was read.
    pub stopped_by: Option<String>,
}

/// How many profiles are new to the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewProfiles {
    /// Of `asked` that were asked for, `known` are there.
    Estimated { asked: u64, known: u64, new: Between },
    /// Why it is not known.
    Unknown(String),
}

impl ControlPlane {
    /// What a run of an export would send now. Klaviyo is asked which of some people it has; nothing is sent to it.
    ///
    /// # Errors
    /// As [`ControlPlane::look`], and [`Refusal::Invalid`] if a worker cannot read the segments, in its words.
    pub async fn preview_export(
        self: &Arc<Self>,
        id: ExportId,
        by: &Principal,
    ) -> Result<Previewed, Error> {
        let export = self.managed(id, by).await?;
        let preview = match self.look(&self.to_preview(&export).await?).await? {
            Ok(Found::Previewed(preview)) => *preview,
            Ok(_) => return Err(another_question()),
            Err(words) => return Err(Refusal::invalid("export.segments", words).into()),
        };
        // What is wrong with it may quote it.
        let damaged = |_| StoreError::Inconsistent { what: format!("the preview of {id}") };
        Ok(Previewed {
            mapping: serde_json::from_str(&preview.mapping).map_err(damaged)?,
            least_seconds: least_seconds(preview.sums.batches, Endpoint::Import),
            new: self.new_profiles(&export, &preview, by).await?,
            stopped_by: self.stopped_by(&export, &preview).await?,
            preview,
        })
    }

    async fn to_preview(&self, export: &SavedExport) -> Result<Asked, Error> {
        let options = export.fields.mapping.options().map_err(Refusal::Invalid)?;
        let columns = self.columns(export).await?.and_then(|it| it.mapping);
        Ok(Asked::Preview {
            within: String::new(),
            sources: self.to_read(export).await?,
            options: text(&options)?,
            columns: columns.map(|it| text(&it)).transpose()?,
            list_id: export.fields.list_id.clone(),
        })
    }

    /// Why it cannot be known is no reason not to tell the rest.
    async fn new_profiles(
        self: &Arc<Self>,
        export: &SavedExport,
        preview: &Preview,
        by: &Principal,
    ) -> Result<NewProfiles, Error> {
        let Some(connection) = export.fields.connection else {
            return Ok(NewProfiles::Unknown("the export has no connection".to_owned()));
        };
        if preview.drawn.is_empty() {
            let new = Between { low: 0, high: 0 };
            return Ok(NewProfiles::Estimated { asked: 0, known: 0, new });
        }
        let account = match self.account_of(connection, by).await {
            Ok(account) => account,
            Err(Error::Refused(refusal)) => return Ok(NewProfiles::Unknown(refusal.to_string())),
            Err(err) => return Err(err),
        };
        let (mut asked, mut known) = (0, 0);
        for some in preview.drawn.chunks(MAX_EMAILS) {
            let emails: Arc<[String]> = some.into();
            let call = move |client: Client, key| {
                let emails = Arc::clone(&emails);
                async move {
                    let emails: Vec<&str> = emails.iter().map(String::as_str).collect();
                    client.profiles_by_email(&key, &emails).await
                }
            };
            match account.asker.ask(Endpoint::Profiles, call).await {
                Ok(reply) => known += reply.value.items.len() as u64,
                // What was asked until then is a sample, too.
                Err(AskError::Busy) if asked > 0 => break,
                Err(AskError::Klaviyo(CallError::Forbidden { .. })) => {
                    let words = "the key may not read profiles (profiles:read)".to_owned();
                    return Ok(NewProfiles::Unknown(words));
                }
                Err(err) => {
                    return match self.explain(&account, err, Scope::ProfilesRead).await? {
                        Error::Refused(refusal) => Ok(NewProfiles::Unknown(refusal.to_string())),
                        err => Err(err),
                    };
                }
            }
            asked += some.len() as u64;
        }
        let new = Between::of(preview.sums.profiles, asked.saturating_sub(known), asked);
        Ok(NewProfiles::Estimated { asked, known, new })
    }

    async fn stopped_by(
        &self,
        export: &SavedExport,
        preview: &Preview,
    ) -> Result<Option<String>, Error> {
        let guarded = export.fields.guards.of_run(false, false);
        let Sums { rows, profiles, .. } = preview.sums;
        if !preview.complete {
            // More were read than may be sent, whatever the rest holds.
            return Ok(guarded.check_profiles(profiles).err().map(|tripped| tripped.detail));
        }
        let mut tx = self.store.begin().await?;
        let last = guards::last_good(&mut tx, export.id).await?.map(|last| last.profiles);
        let read = SegmentRead { rows, profiles, rejected: preview.sums.rejected() };
        Ok(guarded.check(&read, last).err().map(|tripped| tripped.detail))
    }
}
