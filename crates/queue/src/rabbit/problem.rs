//! What an error of `lapin` means for the caller.

use lapin::{Error, ErrorKind};

use crate::QueueError;

const ACCESS_REFUSED: u16 = 403;
const NOT_FOUND: u16 = 404;
const PRECONDITION_FAILED: u16 = 406;
const NOT_ALLOWED: u16 = 530;

/// The reply code of the broker, and its words.
fn reply(err: &Error) -> Option<(u16, &str)> {
    match err.kind() {
        ErrorKind::ProtocolError(err) => Some((err.get_id(), err.get_message().as_str())),
        _ => None,
    }
}

/// An exchange or queue is not there.
pub(super) fn is_not_found(err: &Error) -> bool {
    reply(err).is_some_and(|(code, _)| code == NOT_FOUND)
}

pub(super) fn connecting(broker: &str, user: &str, err: &Error) -> QueueError {
    let broker = broker.to_owned();
    match reply(err) {
        Some((ACCESS_REFUSED, _)) => QueueError::Config {
            broker,
            problem: format!("it refuses the user {user:?}: are name and password right?"),
        },
        Some((NOT_ALLOWED, words)) => QueueError::Config {
            broker,
            problem: format!(
                "the user {user:?} may not use the virtual host, or there is none: {words}"
            ),
        },
        _ => QueueError::Unavailable {
            broker,
            problem: format!(
                "it cannot be reached: {err}; is it running, and is the address right?"
            ),
        },
    }
}

pub(super) fn asking(broker: &str, err: &Error) -> QueueError {
    let broker = broker.to_owned();
    match reply(err) {
        Some((ACCESS_REFUSED, words)) => {
            QueueError::Config { broker, problem: format!("the user lacks a permission: {words}") }
        }
        Some((PRECONDITION_FAILED, words)) => QueueError::Config {
            broker,
            problem: format!(
                "a queue or exchange exists with other settings: delete it or choose another prefix: {words}"
            ),
        },
        _ => QueueError::Unavailable { broker, problem: err.to_string() },
    }
}
