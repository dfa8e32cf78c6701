use std::fmt;

use serde::{Deserialize, Serialize};

/// The attribute or column that a reject or a warning is about, as users name it:
/// `email`, `location.city`, `properties.tier`, or the name of a column.
pub type Field = String;

macro_rules! codes {
    ($(#[$meta:meta])* $name:ident { $($(#[doc = $doc:literal])* $variant:ident = $code:literal, $fix:literal;)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[doc = $doc])* $variant,)* }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable code: reports, events and `rejects_by_reason` carry it.
            pub fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// What the code means, in words.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),*).trim_ascii_start(),)* }
            }

            /// What the user can do about it.
            pub fn fix(self) -> &'static str {
                match self { $(Self::$variant => $fix,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.code())
            }
        }

        impl std::str::FromStr for $name {
            type Err = UnknownReason;
            fn from_str(code: &str) -> Result<Self, UnknownReason> {
                match code {
                    $($code => Ok(Self::$variant),)*
                    _ => Err(UnknownReason(code.to_owned())),
                }
            }
        }
    };
}

/// A code that this version does not know.
#[derive(Debug, thiserror::Error)]
#[error("unknown reason code {0:?}")]
pub struct UnknownReason(String);

codes! {
    /// Why a row was not delivered. `docs/reasons.md` lists the same words; a test compares them.
    RejectReason {
        /// The row has no email address.
        EmailMissing = "email_missing", "Fill in the address, or leave the row out of the segment.";
        /// The email address is not valid.
        EmailInvalid = "email_invalid", "Correct the address: one @, a name before it, a domain with a dot after it.";
        /// The email address is longer than the 100 characters that Klaviyo allows.
        EmailTooLong = "email_too_long", "Use a shorter address for this person.";
        /// The external id is longer than 255 characters.
        ExternalIdTooLong = "external_id_too_long", "Shorten the id, or do not map the column to external_id.";
        /// The profile is larger than the 100,000 bytes that Klaviyo allows.
        ProfileTooLarge = "profile_too_large", "Send fewer or shorter properties: see --properties.";
        /// The row has more or fewer cells than the header.
        RowRagged = "row_ragged", "Correct the delimiters or the quoting of this row.";
        /// The row holds bytes that are not UTF-8.
        RowNotUtf8 = "row_not_utf8", "Save the file as UTF-8.";
        /// The row holds a NUL character.
        RowHasNul = "row_has_nul", "Remove the NUL characters; often the file is UTF-16 or damaged.";
        /// The row or one of its cells is larger than the reader allows.
        RowTooLarge = "row_too_large", "Look for a quote that is not closed, or shorten the cell.";
        /// A quote is opened and never closed.
        QuoteUnclosed = "quote_unclosed", "Close the quote; only the line it opens in was left out.";
        /// A quote inside a quoted cell is not doubled.
        QuoteMisplaced = "quote_misplaced", "Double each quote inside a quoted cell: \"\".";
        /// The line is not a JSON object.
        JsonInvalid = "json_invalid", "Write one complete JSON object in each line.";
        /// Klaviyo refused this profile when the batch was handed over.
        RefusedByKlaviyo = "refused_by_klaviyo", "See the detail for Klaviyo's own words.";
        /// Klaviyo accepted the batch, then could not import this profile.
        ImportFailed = "import_failed", "See the detail for Klaviyo's own words.";
        /// An identifier of this row belongs to another profile in Klaviyo.
        IdentifierConflict = "identifier_conflict", "Merge the two profiles in Klaviyo, or do not map the phone or external id.";
    }
}

codes! {
    /// Why a field was left out although the person was sent, or what else the user should know of a row.
    WarningReason {
        /// The phone number is not valid E.164.
        PhoneInvalid = "phone_invalid", "Write it as +<country><number>, digits only.";
        /// The phone number has no country and no default country is set.
        PhoneNotInternational = "phone_not_international", "Write the number with + and its country code, or set --default-country.";
        /// The latitude is not a number from -90 to 90.
        LatitudeInvalid = "latitude_invalid", "Write decimal degrees with a point.";
        /// The longitude is not a number from -180 to 180.
        LongitudeInvalid = "longitude_invalid", "Write decimal degrees with a point.";
        /// The locale is not a BCP 47 language tag.
        LocaleInvalid = "locale_invalid", "Write a tag such as en-GB.";
        /// The time zone is not in the IANA database.
        TimezoneInvalid = "timezone_invalid", "Write a name such as Europe/Berlin.";
        /// The IP address is not an address of IPv4 or IPv6.
        IpInvalid = "ip_invalid", "Write it as 192.0.2.1 or 2001:db8::1.";
        /// The cell does not have the type that the rest of its column has.
        TypeMismatch = "type_mismatch", "Correct the cell, or let the column be text with --map.";
        /// The name of the column begins with $, which Klaviyo keeps for itself.
        ReservedName = "reserved_name", "Rename the column, or map it to a property with another name.";
        /// A key that was not in the first 10,000 rows, so no mapping names it.
        UnknownColumn = "unknown_column", "Name the column with --map or --properties.";
        /// A duplicate of an earlier row with the same address, but with other values.
        DuplicateDiffers = "duplicate_differs", "Keep one row for each address; the first one was sent.";
    }
}

codes! {
    /// Why a run could not do its work.
    FailReason {
        /// A row was neither delivered nor rejected.
        Undelivered = "undelivered", "See the batches of the run; then send again what is missing.";
        /// The Klaviyo list does not exist in this account.
        ListNotFound = "list_not_found", "Check the id of the list; it may have been deleted.";
        /// Klaviyo does not accept the key.
        KeyRefused = "key_refused", "Make a new private key in Klaviyo and use it here.";
        /// The key lacks a scope that is needed.
        ScopeMissing = "scope_missing", "Make a key with accounts:read, lists:read, lists:write, profiles:read and profiles:write.";
        /// People who join the list start a live flow.
        LiveFlows = "live_flows", "Turn the flow off in Klaviyo while you import, or allow live flows if people should get its messages.";
        /// The key belongs to another account than the run was planned for.
        AccountChanged = "account_changed", "Start a new run if the other account is the right one.";
        /// Klaviyo no longer serves the API revision that this version speaks.
        RevisionRetired = "revision_retired", "Update Segue, or set a revision that Klaviyo still serves.";
        /// Klaviyo refused a batch for a reason that no row causes.
        RequestRefused = "request_refused", "See the detail for Klaviyo's own words.";
        /// A source was changed while it was read, or since the run was planned.
        SourceChanged = "source_changed", "Start a new run on the new source; what arrived of the old one stays in the list.";
        /// A source cannot be read to its end.
        SourceUnreadable = "source_unreadable", "See the detail.";
        /// The segment has no rows.
        SegmentEmpty = "segment_empty", "Check the source, or allow it with --allow-empty.";
        /// The segment has more profiles than the run allows.
        TooManyProfiles = "too_many_profiles", "Check the source, or raise --max-profiles.";
        /// The segment has far more profiles than in the last good run.
        GrewTooMuch = "grew_too_much", "Check the source and the segments; if it is meant, start one run with --override-guards, or raise --max-growth.";
        /// The segment has far fewer profiles than in the last good run.
        ShrankTooMuch = "shrank_too_much", "Check the source and the segments; if it is meant, start one run with --override-guards, or raise --max-shrinkage.";
        /// Too large a share of the rows would be rejected.
        TooManyRejects = "too_many_rejects", "See the rejected rows and correct the source or the mapping; if it is meant, start one run with --override-guards, or raise --max-rejects.";
        /// The source of a scheduled run is older than its export allows.
        SourceStale = "source_stale", "See why whoever writes the source has not; then start a run, or raise --max-source-age.";
        /// Staged batches cannot be kept.
        StagingFailed = "staging_failed", "Look for space and permissions on the disk of the data folder.";
        /// What was to be sent again is not kept any more.
        RetryExpired = "retry_expired", "Start a new run of the export.";
        /// A second reading of the same source gave another batch.
        ReadNotRepeatable = "read_not_repeatable", "This is a bug in Segue: please report it.";
        /// The run took longer than its deadline.
        DeadlinePassed = "deadline_passed", "See why Klaviyo did not answer; then send again what is missing.";
        /// Somebody dropped a dead job without which the run cannot go on.
        JobDropped = "job_dropped", "Start a new run of the export.";
    }
}

codes! {
    /// Why profiles of a batch are undelivered: read, but neither delivered nor rejected.
    UndeliveredReason {
        /// Not sent, or not confirmed, yet.
        Pending = "pending", "Wait.";
        /// Klaviyo could not be reached, or could not work, for too long.
        GaveUp = "gave_up", "Send again what is missing.";
        /// Klaviyo accepted the batch and did not say in time what became of it.
        Unconfirmed = "unconfirmed", "Look at the import job in Klaviyo, and at the members of the list.";
        /// Klaviyo cancelled the import job.
        CancelledByKlaviyo = "cancelled_by_klaviyo", "Send again what is missing.";
        /// Klaviyo counts failures that it does not name.
        UnattributedFailure = "unattributed_failure", "Compare with the members of the list in Klaviyo.";
        /// The run ended before the batch was sent.
        NotSent = "not_sent", "Send again what is missing.";
        /// The run ended while nobody knew whether Klaviyo had taken the batch.
        MaybeSent = "maybe_sent", "Compare with the members of the list in Klaviyo, or send it again: it does no harm.";
        /// For too long no worker could take the job of the batch.
        JobDead = "job_dead", "See segue jobs dead list; then send again what is missing.";
        /// Somebody dropped the dead job of the batch.
        JobDropped = "job_dropped", "Send again what is missing.";
    }
}

codes! {
    /// Why something that somebody asked the services for is not done. The control-plane names them by their
    /// codes, an obstacle in capitals; a test compares.
    RefusalReason {
        /// The message is no command.
        Malformed = "malformed", "Correct the field that the detail names, and send a new message.";
        /// There is no such export.
        NoSuchExport = "no_such_export", "Look for its id with segue exports list.";
        /// There is no such run.
        NoSuchRun = "no_such_run", "Look for its id with segue runs list.";
        /// The request id was used for another request.
        RequestIdUsed = "request_id_used", "Take a new request id, or repeat the first request as it was.";
        /// A run of the export is under way.
        RunUnderWay = "run_under_way", "Wait until it has ended, or end it with segue runs cancel.";
        /// An export uses the connection or the source.
        UsedByExport = "used_by_export", "Give the export another, or delete the export.";
        /// A run that is under way uses the connection.
        UsedByRun = "used_by_run", "Wait until the run has ended, or end it with segue runs cancel.";
        /// Klaviyo no longer serves the API revision that this version asks for.
        RevisionRetired = "revision_retired", "Update Segue, or set a revision that Klaviyo still serves.";
        /// Klaviyo does not accept the key of the connection.
        KeyRefused = "key_refused", "Make a new private key in Klaviyo, and give it to the connection.";
        /// The key of the connection lacks a scope that is needed.
        ScopeMissing = "scope_missing", "Make a new private key with the scopes that the words name, and give it to the connection.";
        /// The key of the connection belongs to another account by now.
        AccountChanged = "account_changed", "Make a connection for the other account if it is the right one.";
        /// The account has a list of this name.
        ListExists = "list_exists", "Use the list that the words name, or choose another name.";
        /// The connection of the export was deleted.
        ConnectionDeleted = "connection_deleted", "Give the export another connection.";
        /// The export lost its connection.
        NoConnection = "no_connection", "Give the export another connection.";
        /// The export is disabled.
        ExportDisabled = "export_disabled", "Enable it with segue exports enable.";
        /// Somebody has changed the export while a worker looked at its columns.
        ExportChanged = "export_changed", "Look at the export, and ask again.";
        /// The export runs for somebody who may not run it any more.
        OwnerLost = "owner_lost", "Let an administrator give it to somebody else with segue exports update --owner.";
        /// The control-plane cannot open the key of the connection, or does not find it where the connection refers to.
        KeyUnreadable = "key_unreadable", "Start the control-plane with the master key that sealed it, put the key where the words say, or give the connection its key again.";
        /// The run is of the command line, which keeps nothing to be sent again.
        NotOfAnExport = "not_of_an_export", "Export the segment again.";
        /// The export of the run was deleted.
        ExportDeleted = "export_deleted", "Make a new export, and start a run of it.";
        /// The run was retried already.
        Retried = "retried", "Retry the run that the words name.";
        /// The run has not read its segment to the end.
        NotRead = "not_read", "Start a new run of the export.";
        /// The run left no batch that Klaviyo has not accepted.
        NothingToRetry = "nothing_to_retry", "Compare with the members of the list in Klaviyo.";
        /// The run ended too long ago to be retried.
        RetryWindowPassed = "retry_window_passed", "Start a new run of the export.";
        /// Batches of the run are not staged any more.
        BatchesLost = "batches_lost", "Start a new run of the export.";
        /// The message named no job that is known.
        NoJob = "no_job", "Drop it; the job, if there is one, is announced again by itself.";
        /// The job of the dead message is over.
        JobOver = "job_over", "Drop the message; nothing is left to be done.";
        /// The job confirms what Klaviyo has accepted, and nobody else can.
        ConfirmJob = "confirm_job", "Requeue it, or end its runs with segue runs cancel.";
    }
}

#[cfg(test)]
mod tests {
    use super::{FailReason, RefusalReason, RejectReason, UndeliveredReason, WarningReason};

    #[test]
    fn every_code_reads_back_as_itself_and_has_words() {
        for reason in RejectReason::ALL {
            assert_eq!(reason.code().parse::<RejectReason>().unwrap(), *reason);
            assert!(reason.meaning().ends_with('.') && reason.fix().ends_with('.'), "{reason}");
        }
        for reason in FailReason::ALL {
            assert_eq!(reason.code().parse::<FailReason>().unwrap(), *reason);
            assert!(reason.meaning().ends_with('.') && reason.fix().ends_with('.'), "{reason}");
        }
        for reason in UndeliveredReason::ALL {
            assert_eq!(reason.code().parse::<UndeliveredReason>().unwrap(), *reason);
            assert!(reason.meaning().ends_with('.') && reason.fix().ends_with('.'), "{reason}");
        }
        for reason in WarningReason::ALL {
            assert_eq!(reason.code().parse::<WarningReason>().unwrap(), *reason);
            assert!(reason.meaning().ends_with('.') && reason.fix().ends_with('.'), "{reason}");
        }
        for reason in RefusalReason::ALL {
            assert_eq!(reason.code().parse::<RefusalReason>().unwrap(), *reason);
            assert!(reason.meaning().ends_with('.') && reason.fix().ends_with('.'), "{reason}");
        }
    }
}
