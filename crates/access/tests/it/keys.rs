//! Keys that sign tokens as an issuer does, and as somebody does who would like to be one.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use ring::{
    rand::SystemRandom,
    rsa::PublicKeyComponents,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384,
        RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
    },
};
use serde_json::{Value, json};

/// `ring` makes no RSA keys. This one was made by `openssl genpkey` for these tests and protects nothing.
const RSA: &[u8] = include_bytes!("not-a-secret.test-rsa-2048.pk8");

pub(crate) struct TestKey {
    kid: Option<String>,
    private: Private,
}

enum Private {
    Rsa(RsaKeyPair),
    Curve(&'static str, EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl TestKey {
    /// Always the same key.
    pub(crate) fn rsa(kid: &str) -> Self {
        Self::new(kid, Private::Rsa(RsaKeyPair::from_pkcs8(RSA).unwrap()))
    }

    pub(crate) fn p256(kid: &str) -> Self {
        Self::curve(kid, "P-256", &ECDSA_P256_SHA256_FIXED_SIGNING)
    }

    pub(crate) fn p384(kid: &str) -> Self {
        Self::curve(kid, "P-384", &ECDSA_P384_SHA384_FIXED_SIGNING)
    }

    pub(crate) fn ed25519(kid: &str) -> Self {
        let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self::new(kid, Private::Ed25519(Ed25519KeyPair::from_pkcs8(key.as_ref()).unwrap()))
    }

    fn curve(kid: &str, name: &'static str, curve: &'static EcdsaSigningAlgorithm) -> Self {
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::generate_pkcs8(curve, &random).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(curve, key.as_ref(), &random).unwrap();
        Self::new(kid, Private::Curve(name, key))
    }

    fn new(kid: &str, private: Private) -> Self {
        Self { kid: Some(kid.to_owned()), private }
    }

    /// The same key, published and used without a name.
    pub(crate) fn nameless(self) -> Self {
        Self { kid: None, ..self }
    }

    /// As the issuer publishes it.
    pub(crate) fn jwk(&self) -> Value {
        let mut jwk = match &self.private {
            Private::Rsa(key) => {
                let PublicKeyComponents::<Vec<u8>> { n, e } = key.public().into();
                json!({"kty": "RSA", "n": BASE64.encode(n), "e": BASE64.encode(e)})
            }
            Private::Curve(name, key) => {
                let (x, y) =
                    key.public_key().as_ref()[1..].split_at(key.public_key().as_ref().len() / 2);
                json!({"kty": "EC", "crv": name, "x": BASE64.encode(x), "y": BASE64.encode(y)})
            }
            Private::Ed25519(key) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": BASE64.encode(key.public_key())})
            }
        };
        if let Some(kid) = &self.kid {
            jwk["kid"] = kid.as_str().into();
        }
        jwk
    }

    /// The algorithm that most issuers use with such a key.
    fn usual(&self) -> &'static str {
        match &self.private {
            Private::Rsa(_) => "RS256",
            Private::Curve("P-256", _) => "ES256",
            Private::Curve(..) => "ES384",
            Private::Ed25519(_) => "EdDSA",
        }
    }

    pub(crate) fn token(&self, claims: &Value) -> String {
        self.token_as(&self.header(), claims)
    }

    pub(crate) fn header(&self) -> Value {
        let mut header = json!({"alg": self.usual(), "typ": "JWT"});
        if let Some(kid) = &self.kid {
            header["kid"] = kid.as_str().into();
        }
        header
    }

    /// With any header, true or not; signed as its `alg` says, if the key can do that.
    pub(crate) fn token_as(&self, header: &Value, claims: &Value) -> String {
        let signed = signed_part(header, claims);
        let signature = self.signature(header["alg"].as_str().unwrap(), signed.as_bytes());
        format!("{signed}.{}", BASE64.encode(signature))
    }

    fn signature(&self, alg: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.private {
            Private::Rsa(key) => {
                let padding: &dyn RsaEncoding = match alg {
                    "RS384" => &RSA_PKCS1_SHA384,
                    "RS512" => &RSA_PKCS1_SHA512,
                    "PS256" => &RSA_PSS_SHA256,
                    "PS384" => &RSA_PSS_SHA384,
                    "PS512" => &RSA_PSS_SHA512,
                    _ => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(padding, &random, message, &mut signature).unwrap();
                signature
            }
            Private::Curve(_, key) => key.sign(&random, message).unwrap().as_ref().to_vec(),
            Private::Ed25519(key) => key.sign(message).as_ref().to_vec(),
        }
    }
}

/// What a signature is made over.
pub(crate) fn signed_part(header: &Value, claims: &Value) -> String {
    let encoded = |part: &Value| BASE64.encode(part.to_string());
    format!("{}.{}", encoded(header), encoded(claims))
}
