use segue_model::Micros;

use crate::{Role, oidc::JwtError, token::InvalidToken};

/// Why somebody was not let in, or may not do this. The words say what to do, and hold no part of a token.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Denied {
    #[error(transparent)]
    Malformed(#[from] InvalidToken),
    /// No such token, or not its secret: one and the same to whoever asks, so that nobody can find out which
    /// ids exist.
    #[error("the API token is not known: check that it was copied whole, or make a new one")]
    Unknown,
    #[error("the API token expired at {at}: make a new one")]
    Expired { at: Micros },
    #[error("the API token was revoked at {at}: ask an administrator for a new one")]
    Revoked { at: Micros },
    #[error(transparent)]
    Jwt(#[from] JwtError),
    #[error("this needs the role {needs}, and yours is {has}: ask an administrator")]
    Role { needs: Role, has: Role },
    /// The method is in no table of [`rules`](crate::rules).
    #[error("nobody may call this method: there is no rule for it")]
    NoRule,
}

/// What a refusal means for whoever was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Nobody knows who asks: with another token it may work.
    Unauthenticated,
    /// It is known who asks, and they may not do this.
    Forbidden,
    /// It cannot be said at present: ask again later.
    Unavailable,
}

impl Denied {
    /// No `_` arm: a new variant has to choose.
    pub fn class(&self) -> Class {
        match self {
            Self::Malformed(_) | Self::Unknown | Self::Expired { .. } | Self::Revoked { .. } => {
                Class::Unauthenticated
            }
            Self::Jwt(err) => err.class(),
            Self::Role { .. } | Self::NoRule => Class::Forbidden,
        }
    }
}
