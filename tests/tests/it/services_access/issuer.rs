//! An identity provider on this machine.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    thread,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use serde_json::{Value, json};

const KEY_ID: &str = "one";

pub(super) struct Issuer {
    url: String,
    key: EcdsaKeyPair,
}

impl Issuer {
    /// It serves for as long as the tests run.
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let key = new_key();
        let point = key.public_key().as_ref();
        let (x, y) = point[1..].split_at(32);
        let jwk = json!({
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": KEY_ID,
            "x": BASE64.encode(x), "y": BASE64.encode(y),
        });
        let discovery = json!({"issuer": url, "jwks_uri": format!("{url}/keys")});
        let keys = json!({"keys": [jwk]});
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let Some(Ok(first)) = lines.next() else { continue };
                // The rest of the request is of no interest, but has to be read.
                lines.take_while(|line| line.as_ref().is_ok_and(|line| !line.is_empty())).count();
                let body = if first.contains("/keys ") { &keys } else { &discovery }.to_string();
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
                     content-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                let _gone = stream.write_all(answer.as_bytes());
            }
        });
        Self { url, key }
    }

    /// What a service has to be told.
    pub(super) fn trusted_by(&self, audience: &str) -> String {
        format!(
            "issuer = \"{}\"\naudience = \"{audience}\"\n\
             role_map = {{ segue-admins = \"administrator\", everybody = \"viewer\" }}\n",
            self.url
        )
    }

    /// That expires in so many seconds.
    pub(super) fn token(&self, audience: &str, role: &str, expires: i64) -> String {
        signed(&self.key, "ES256", &self.claims(audience, role, expires))
    }

    /// Signed by somebody else, with this key's name.
    pub(super) fn forged(&self, audience: &str, role: &str) -> String {
        signed(&new_key(), "ES256", &self.claims(audience, role, 300))
    }

    /// That says it needs no signature.
    pub(super) fn unsigned(&self, audience: &str, role: &str) -> String {
        let token = signed(&self.key, "none", &self.claims(audience, role, 300));
        let (head, _) = token.rsplit_once('.').unwrap();
        format!("{head}.")
    }

    fn claims(&self, audience: &str, role: &str, expires: i64) -> Value {
        let now = jiff::Timestamp::now().as_second();
        json!({
            "iss": self.url, "sub": "somebody", "aud": audience, "roles": [role],
            "exp": now + expires, "iat": now - 600,
        })
    }
}

fn new_key() -> EcdsaKeyPair {
    let random = SystemRandom::new();
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap()
}

fn signed(key: &EcdsaKeyPair, algorithm: &str, claims: &Value) -> String {
    let header = json!({"alg": algorithm, "kid": KEY_ID, "typ": "JWT"});
    let part = |value: &Value| BASE64.encode(value.to_string());
    let head = format!("{}.{}", part(&header), part(claims));
    let signature = key.sign(&SystemRandom::new(), head.as_bytes()).unwrap();
    format!("{head}.{}", BASE64.encode(signature.as_ref()))
}
