use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::Value;

use super::{Algorithm, JwtError, keys::Key};

/// Longer than any token that fits into the headers of a call.
const MAX_LEN: usize = 16 * 1024;

/// A token in its parts. Nothing in it is true before it is verified.
pub(super) struct Jws<'a> {
    /// Header and payload as they came, which is what is signed.
    signed: &'a str,
    payload: Vec<u8>,
    signature: Vec<u8>,
    algorithm: Algorithm,
    kid: Option<String>,
}

/// `jwk`, `jku`, `x5c` and `x5u` are not even read: a token does not choose by what it is verified.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
}

impl<'a> Jws<'a> {
    /// The parts, if the token is signed in one of the ways that are `accepted`.
    pub(super) fn parse(text: &'a str, accepted: &[Algorithm]) -> Result<Self, JwtError> {
        if text.len() > MAX_LEN {
            return Err(JwtError::Malformed);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(JwtError::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(JwtError::Malformed)?;
        // A fourth part would be within the payload, and a dot is no base64.
        let (payload, signature) = (decoded(payload)?, decoded(signature)?);
        let header: Header =
            serde_json::from_slice(&decoded(header)?).map_err(|_| JwtError::Malformed)?;
        if header.crit.is_some() || !header.typ.as_deref().is_none_or(is_for_access) {
            return Err(JwtError::Kind);
        }
        let algorithm = header.alg.parse().ok().filter(|it| accepted.contains(it));
        let algorithm =
            algorithm.ok_or_else(|| JwtError::Algorithm { accepted: accepted.to_vec() })?;
        Ok(Self { signed, payload, signature, algorithm, kid: header.kid })
    }

    pub(super) fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// What the token says, in JSON, if the key signed it.
    pub(super) fn verified_by(self, key: &Key) -> Result<Vec<u8>, JwtError> {
        let signed = key.verifies(self.algorithm, self.signed.as_bytes(), &self.signature);
        if signed { Ok(self.payload) } else { Err(JwtError::Signature) }
    }
}

/// Issuers sign other things with the same keys, such as orders to log somebody out.
fn is_for_access(typ: &str) -> bool {
    let typ = typ.to_ascii_lowercase();
    matches!(typ.strip_prefix("application/").unwrap_or(&typ), "jwt" | "at+jwt")
}

fn decoded(part: &str) -> Result<Vec<u8>, JwtError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| JwtError::Malformed)
}
