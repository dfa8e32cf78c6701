use std::sync::Arc;

use segue_model::Micros;

use super::{Algorithm, FetchError, Issuer};
use crate::Class;

/// Why a JSON web token does not let anybody in. No text holds any part of the token.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JwtError {
    #[error("not a JSON web token: those are three parts in base64url, copied whole")]
    Malformed,
    /// It has a `crit`, or a `typ` of tokens that are for something else.
    #[error(
        "the token is of a kind that lets nobody in: send an access token or an identity token"
    )]
    Kind,
    #[error("the token is signed in a way that is not accepted; accepted: {}", listed(.accepted))]
    Algorithm { accepted: Vec<Algorithm> },
    #[error("the token does not say which of the issuer's keys signed it (kid)")]
    KidMissing,
    #[error("the token is signed by a key that the issuer does not publish: log in again")]
    UnknownKey,
    #[error("the token says that it is signed in a way that its key is not for")]
    KeyForOther,
    #[error("the signature of the token is wrong")]
    Signature,
    #[error("the token lacks the claim {claim}, or has it in another form than the standard says")]
    Claim { claim: &'static str },
    #[error("the token is of another issuer: send one of {wanted}")]
    Issuer { wanted: Issuer },
    #[error("the token is for somebody else: ask for one with the audience {wanted}")]
    Audience { wanted: String },
    #[error("the token expired at {at}: log in again")]
    Expired { at: Micros },
    /// By more than the leeway: a clock is wrong, here or there.
    #[error("the token is not valid before {at}: check the clocks")]
    TooEarly { at: Micros },
    #[error(
        "no role: the claim {claim} of the token has none of the values {}; ask an administrator for one",
        .wanted.join(", ")
    )]
    NoRole { claim: String, wanted: Vec<String> },
    /// Says nothing about the token.
    #[error("nobody can be let in: the keys of the issuer are not to be had")]
    Keys(#[source] Arc<KeysError>),
}

impl JwtError {
    /// No `_` arm: a new variant has to choose.
    pub fn class(&self) -> Class {
        match self {
            Self::Malformed
            | Self::Kind
            | Self::Algorithm { .. }
            | Self::KidMissing
            | Self::UnknownKey
            | Self::KeyForOther
            | Self::Signature
            | Self::Claim { .. }
            | Self::Issuer { .. }
            | Self::Audience { .. }
            | Self::Expired { .. }
            | Self::TooEarly { .. } => Class::Unauthenticated,
            Self::NoRole { .. } => Class::Forbidden,
            Self::Keys(_) => Class::Unavailable,
        }
    }
}

/// Why there are no keys of the issuer, or no new ones.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    #[error("the issuer does not say where its keys are")]
    Discovery(#[source] FetchError),
    #[error("what the issuer says about itself is not what OpenID Connect asks for")]
    DiscoveryUnreadable,
    /// The configured issuer has to be corrected, or somebody is in between.
    #[error("whoever answers for {wanted} calls itself otherwise")]
    OtherIssuer { wanted: Issuer },
    #[error("the issuer keeps its keys where anybody in between could change them")]
    JwksUri,
    #[error("the keys of the issuer cannot be fetched")]
    Jwks(#[source] FetchError),
    #[error("the keys of the issuer are not a JSON web key set")]
    JwksUnreadable,
    #[error("the issuer publishes no key that can verify a signature")]
    NoKeys,
    /// The last attempt was cut short, as when a service stops.
    #[error("the keys of the issuer were not fetched yet")]
    NotFetched,
}

fn listed(algorithms: &[Algorithm]) -> String {
    let words: Vec<_> = algorithms.iter().map(|it| it.as_str()).collect();
    words.join(", ")
}
