use std::{error::Error, fmt, time::Duration};

use segue_model::Pii;

use crate::{GuardStop, Refusal};

/// Why a call has no value to return: one variant for each decision that the caller has to make.
///
/// Nothing here holds a key, a URL or a body, and what Klaviyo quotes of a profile is [`Pii`].
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The request did not reach Klaviyo whole, so it was certainly not applied: send it again.
    #[error("the request was not sent: {at}")]
    NotSent {
        at: NotSentAt,
        #[source]
        source: Option<TransportError>,
    },
    /// The request went out and no answer that can be read came back: it may have been applied. To
    /// send the same import again is harmless (an upsert) and is counted as a repeated send.
    #[error("no usable answer came back, so the request may have been applied")]
    Ambiguous(#[source] Ambiguity),
    /// 429: nothing more on this lane for a while. `retry_after` is from 1 s to 1 h; `None` if
    /// Klaviyo named no time, or an absurd one.
    #[error("Klaviyo asks to slow down")]
    Throttled { retry_after: Option<Duration> },
    /// 401, or a key that cannot be sent: no call with this key will work.
    #[error("the API key is not accepted: {0}")]
    Unauthorized(KeyProblem),
    /// 403 from the API: the key lacks a scope. Other calls with it may work.
    #[error("the API key does not allow this call")]
    Forbidden { detail: Option<Pii<String>> },
    /// 403 from the network in front of the API, which took this client for a robot: send it
    /// again later. Says nothing about the key. A gateway that words a missing scope in HTML would
    /// also end here; no such answer is known.
    #[error("the request was stopped by a bot challenge")]
    Challenged,
    /// 5xx, 408, or an answer that did not come from the API, as its HTML shows: send it again later.
    #[error("Klaviyo is not available: status {status}")]
    Unavailable {
        status: u16,
        /// As in [`CallError::Throttled`].
        retry_after: Option<Duration>,
    },
    /// 404 from the API: the list, the job or the account does not exist, or not in this account.
    #[error("Klaviyo does not know this resource")]
    NotFound,
    /// 413: send less.
    #[error("the request is too large for Klaviyo")]
    TooLarge,
    /// 410: this version of Segue is too old for the API.
    #[error("Klaviyo has retired the API revision that was asked for")]
    RevisionRetired,
    /// Any other 4xx of the API: the same request will be refused again, so change it by what
    /// [`Refusal::refused_rows`] names.
    #[error("Klaviyo refused the request with status {}, errors: {}", .0.status, .0.errors.len())]
    Refused(Refusal),
    /// 3xx. Not followed, because the key would go along.
    #[error("Klaviyo answered with a redirect, status {status}")]
    Redirected { status: u16 },
    /// The guard ended the request. It had a piece left, so Klaviyo cannot have taken the request
    /// for complete; after the last piece the guard is not asked.
    #[error("the request was stopped before its end")]
    Stopped(#[source] GuardStop),
    /// A read was answered with something that this version cannot read. A page of somebody in
    /// between, perhaps: ask again before giving up.
    #[error("the answer is not what the API promises")]
    Protocol(#[source] ProtocolError),
    /// The caller asked for something that is never sent.
    #[error("the request is not valid")]
    Invalid(#[source] InvalidRequest),
}

/// Where a request ended that was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotSentAt {
    /// Name, TCP or TLS.
    Connect,
    /// In the body, before its last piece.
    Body,
}

impl fmt::Display for NotSentAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "no connection",
            Self::Body => "the connection ended within the body",
        })
    }
}

/// What made the fate of a request unknown.
#[derive(Debug, thiserror::Error)]
pub enum Ambiguity {
    #[error("the deadline passed")]
    TimedOut,
    #[error("the connection ended before the answer did")]
    Broken(#[source] TransportError),
    /// A write was answered with success and something that cannot be read.
    #[error("the answer says success and cannot be read")]
    Unreadable(#[source] ProtocolError),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyProblem {
    /// Klaviyo said 401.
    Refused,
    /// Empty, or with spaces or characters other than printable ASCII. Nothing was sent.
    Malformed,
}

impl fmt::Display for KeyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "Klaviyo refused it",
            Self::Malformed => "it is not printable ASCII without spaces",
        })
    }
}

/// How an answer breaks its promise. The parser's own words are not kept: they quote the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    #[error("cannot be read at line {line}, column {column}")]
    Unreadable { line: usize, column: usize },
    #[error("longer than the 16 MiB that are read of an answer")]
    TooLong,
    #[error("the link to the next page leads to another host")]
    ForeignLink,
    #[error("the link to the next page names no cursor")]
    NoCursor,
    #[error("{0} accounts for one key")]
    Accounts(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRequest {
    /// A cursor of another host is not followed: the key would go along.
    #[error("the cursor leads to another host")]
    ForeignCursor,
    #[error("1 to {max} addresses can be asked for at a time, not {got}", max = crate::MAX_EMAILS)]
    Emails { got: usize },
    #[error("the request cannot be written")]
    Unwritable,
}

/// An error of the connection, without the URL.
pub struct TransportError(reqwest::Error);

impl TransportError {
    pub(crate) fn new(err: reqwest::Error) -> Self {
        Self(err.without_url())
    }
}

impl fmt::Debug for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Error for TransportError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

impl CallError {
    /// Klaviyo may have done what was asked: to ask again is a repeated send. A 5xx other than 503
    /// does not say how far the request came; 524 in particular is a server that works on alone.
    /// No `_` arm: a new variant has to choose.
    pub fn may_have_been_applied(&self) -> bool {
        match self {
            Self::Ambiguous(_) => true,
            Self::Unavailable { status, .. } => *status >= 500 && *status != 503,
            Self::NotSent { .. }
            | Self::Throttled { .. }
            | Self::Unauthorized(_)
            | Self::Forbidden { .. }
            | Self::Challenged
            | Self::NotFound
            | Self::TooLarge
            | Self::RevisionRetired
            | Self::Refused(_)
            | Self::Redirected { .. }
            | Self::Stopped(_)
            | Self::Protocol(_)
            | Self::Invalid(_) => false,
        }
    }

    /// A stable word for spans and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotSent { .. } => "not_sent",
            Self::Ambiguous(_) => "ambiguous",
            Self::Throttled { .. } => "throttled",
            Self::Unauthorized(_) => "unauthorized",
            Self::Forbidden { .. } => "forbidden",
            Self::Challenged => "challenged",
            Self::Unavailable { .. } => "unavailable",
            Self::NotFound => "not_found",
            Self::TooLarge => "too_large",
            Self::RevisionRetired => "revision_retired",
            Self::Refused(_) => "refused",
            Self::Redirected { .. } => "redirected",
            Self::Stopped(_) => "stopped",
            Self::Protocol(_) => "protocol",
            Self::Invalid(_) => "invalid",
        }
    }
}
