use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::signature::{RsaPublicKeyComponents, UnparsedPublicKey};
use serde::Deserialize;
use serde_json::Value;

use super::{
    Algorithm, JwtError, KeysError,
    algorithm::{Check, Family},
};

/// The keys that an issuer publishes for verifying its signatures.
#[derive(Debug)]
pub(super) struct KeySet(Vec<Key>);

#[derive(Debug)]
pub(super) struct Key {
    kid: Option<String>,
    family: Family,
    /// The only algorithm it is for, if the issuer says so.
    only: Option<Algorithm>,
    public: Public,
}

#[derive(Debug)]
enum Public {
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    /// Of a curve, in the form that `ring` takes.
    Point(Vec<u8>),
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// Keys that cannot be used here are left out: an issuer may publish some for others.
    pub(super) fn parse(json: &[u8]) -> Result<Self, KeysError> {
        let jwks: Jwks = serde_json::from_slice(json).map_err(|_| KeysError::JwksUnreadable)?;
        let read = |key| serde_json::from_value(key).ok().and_then(Key::new);
        Ok(Self(jwks.keys.into_iter().filter_map(read).collect()))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn has(&self, kid: &str) -> bool {
        self.0.iter().any(|key| key.kid.as_deref() == Some(kid))
    }

    /// The key that a token names. To name none is enough only if there is no choice.
    pub(super) fn choose(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<&Key, JwtError> {
        let Some(kid) = kid else {
            return match self.0.as_slice() {
                [] => Err(JwtError::UnknownKey),
                [only] if only.is_for(algorithm) => Ok(only),
                [_] => Err(JwtError::KeyForOther),
                _ => Err(JwtError::KidMissing),
            };
        };
        // The standard lets keys of different families share a `kid`.
        let named = || self.0.iter().filter(|key| key.kid.as_deref() == Some(kid));
        named().find(|key| key.is_for(algorithm)).ok_or_else(|| match named().next() {
            Some(_) => JwtError::KeyForOther,
            None => JwtError::UnknownKey,
        })
    }
}

impl Key {
    fn new(jwk: Jwk) -> Option<Self> {
        let for_signatures = jwk.purpose.as_deref().is_none_or(|it| it == "sig")
            && jwk.key_ops.as_deref().is_none_or(|ops| ops.iter().any(|it| it == "verify"));
        if !for_signatures {
            return None;
        }
        // An algorithm that is not known here is one that the key must not be used without.
        let only = jwk.alg.as_deref().map(str::parse).transpose().ok()?;
        let bytes = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_deref()?).ok();
        let point = |len: usize| {
            let (x, y) = (bytes(&jwk.x)?, bytes(&jwk.y)?);
            // 4: both coordinates follow.
            (x.len() == len && y.len() == len).then(|| Public::Point([vec![4], x, y].concat()))
        };
        let (family, public) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => {
                let (modulus, exponent) = (number(bytes(&jwk.n)?), number(bytes(&jwk.e)?));
                (Family::Rsa, Public::Rsa { modulus, exponent })
            }
            ("EC", Some("P-256")) => (Family::P256, point(32)?),
            ("EC", Some("P-384")) => (Family::P384, point(48)?),
            ("OKP", Some("Ed25519")) => (Family::Ed25519, Public::Point(bytes(&jwk.x)?)),
            _ => return None,
        };
        Some(Self { kid: jwk.kid, family, only, public })
    }

    fn is_for(&self, algorithm: Algorithm) -> bool {
        self.family == algorithm.family() && self.only.is_none_or(|only| only == algorithm)
    }

    pub(super) fn verifies(&self, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> bool {
        match (&self.public, algorithm.check()) {
            (Public::Rsa { modulus, exponent }, Check::Rsa(parameters)) => {
                let key = RsaPublicKeyComponents { n: modulus, e: exponent };
                key.verify(parameters, signed, signature).is_ok()
            }
            (Public::Point(point), Check::Point(curve)) => {
                UnparsedPublicKey::new(curve, point).verify(signed, signature).is_ok()
            }
            (Public::Rsa { .. }, Check::Point(_)) | (Public::Point(_), Check::Rsa(_)) => false,
        }
    }
}

/// Without leading zeros, which `ring` refuses and some issuers write.
fn number(bytes: Vec<u8>) -> Vec<u8> {
    bytes.into_iter().skip_while(|byte| *byte == 0).collect()
}
