//! Whether the issuer has signed a token, and with a key that is for that.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use ring::hmac;
use segue_access::{
    Class, Principal,
    oidc::{Algorithm, JwtError},
};
use serde_json::{Value, json};

use crate::{
    issuer::{Issuer, at, claims},
    keys::{TestKey, signed_part},
};

fn ann() -> Value {
    claims(&json!({}))
}

/// What becomes of a token if these keys are published. Whatever it is, it shows nothing of the token.
async fn outcome(keys: &[&TestKey], token: &str) -> Result<Principal, JwtError> {
    outcome_with(&Issuer::with(keys), token).await
}

async fn outcome_with(issuer: &Issuer, token: &str) -> Result<Principal, JwtError> {
    let outcome = issuer.trusted().verify(token, at(0)).await;
    if let Err(err) = &outcome {
        let printed = format!("{err} {err:?}");
        for part in token.split('.').filter(|part| part.len() > 8) {
            assert!(!printed.contains(&part[..8]), "{printed}");
        }
    }
    outcome
}

fn hmac_token(header: &Value, secret: &[u8]) -> String {
    let signed = signed_part(header, &ann());
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    format!("{signed}.{}", BASE64.encode(hmac::sign(&key, signed.as_bytes())))
}

#[tokio::test]
async fn each_algorithm_works_with_keys_of_its_family_only() {
    let keys = [
        TestKey::rsa("rsa"),
        TestKey::p256("p256"),
        TestKey::p384("p384"),
        TestKey::ed25519("ed25519"),
    ];
    let issuer = Issuer::with(&keys.each_ref());
    let all = Algorithm::ALL.map(Algorithm::as_str);
    let trusted = issuer.trusted_with(&json!({"algorithms": all}));
    for alg in all {
        for (key, family) in keys.iter().zip(["RS PS", "ES256", "ES384", "EdDSA"]) {
            let mut header = key.header();
            header["alg"] = alg.into();
            let own = family.split(' ').any(|own| alg.starts_with(own));
            match trusted.verify(&key.token_as(&header, &ann()), at(0)).await {
                Ok(_) => assert!(own, "{header}"),
                Err(err) => {
                    assert!(!own && matches!(err, JwtError::KeyForOther), "{header}: {err}");
                }
            }
        }
    }
}

#[tokio::test]
async fn an_algorithm_that_is_not_configured_is_refused() {
    let keys = [TestKey::p384("1"), TestKey::ed25519("2")];
    for key in &keys {
        let err = outcome(&keys.each_ref(), &key.token(&ann())).await.unwrap_err();
        assert!(matches!(err, JwtError::Algorithm { .. }), "{err}");
        assert!(err.to_string().contains("RS256, ES256"), "{err}");
    }
}

#[tokio::test]
async fn an_unsigned_token_is_refused() {
    let key = TestKey::rsa("1");
    for alg in ["none", "None", "NONE", "", "nOnE"] {
        let signed = signed_part(&json!({"alg": alg, "kid": "1"}), &ann());
        for signature in ["", "AAAA"] {
            let err = outcome(&[&key], &format!("{signed}.{signature}")).await.unwrap_err();
            assert!(matches!(err, JwtError::Algorithm { .. }), "{alg}: {err}");
        }
    }
    // Nor does it help to leave the signature out.
    for header in [json!({"kid": "1"}), json!({"alg": null, "kid": "1"})] {
        let err = outcome(&[&key], &format!("{}.", signed_part(&header, &ann()))).await;
        assert!(matches!(err, Err(JwtError::Malformed)));
    }
    let err = outcome(&[&key], &format!("{}.", signed_part(&key.header(), &ann()))).await;
    assert!(matches!(err, Err(JwtError::Signature)));
}

/// The oldest trick: what verifies is public, so whoever takes it for a shared secret lets anybody sign.
#[tokio::test]
async fn a_token_signed_with_the_public_key_as_a_shared_secret_is_refused() {
    let key = TestKey::rsa("1");
    let jwk = key.jwk();
    let modulus = BASE64.decode(jwk["n"].as_str().unwrap()).unwrap();
    for secret in
        [modulus.as_slice(), jwk["n"].as_str().unwrap().as_bytes(), jwk.to_string().as_bytes()]
    {
        let hs = hmac_token(&json!({"alg": "HS256", "kid": "1"}), secret);
        assert!(matches!(outcome(&[&key], &hs).await, Err(JwtError::Algorithm { .. })));
        let rs = hmac_token(&key.header(), secret);
        assert!(matches!(outcome(&[&key], &rs).await, Err(JwtError::Signature)));
    }
}

#[tokio::test]
async fn a_shared_secret_among_the_keys_is_not_used() {
    let issuer = Issuer::with(&[]);
    let secret = json!({"kty": "oct", "kid": "1", "k": BASE64.encode("secret"), "alg": "HS256"});
    issuer.says().jwks = json!({"keys": [secret, TestKey::rsa("2").jwk()]});
    let hs = hmac_token(&json!({"alg": "HS256", "kid": "1"}), b"secret");
    assert!(matches!(outcome_with(&issuer, &hs).await, Err(JwtError::Algorithm { .. })));
    let rs = hmac_token(&json!({"alg": "RS256", "kid": "1"}), b"secret");
    assert!(matches!(outcome_with(&issuer, &rs).await, Err(JwtError::UnknownKey)));
}

#[tokio::test]
async fn a_token_signed_by_somebody_else_is_refused() {
    let (own, forged) = (TestKey::p256("1"), TestKey::p256("1"));
    let err = outcome(&[&own], &forged.token(&ann())).await.unwrap_err();
    assert!(matches!(err, JwtError::Signature) && err.class() == Class::Unauthenticated, "{err}");
    // Nor does it help to bring the key along.
    let mut header = forged.header();
    header["jwk"] = forged.jwk();
    header["jku"] = "https://evil.example/keys".into();
    let err = outcome(&[&own], &forged.token_as(&header, &ann())).await.unwrap_err();
    assert!(matches!(err, JwtError::Signature), "{err}");
}

#[tokio::test]
async fn a_token_that_was_changed_is_refused() {
    for key in [TestKey::rsa("1"), TestKey::p256("1")] {
        let token = key.token(&ann());
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let (header, _) = signed.split_once('.').unwrap();
        let bytes = BASE64.decode(signature).unwrap();
        let admin = BASE64.encode(claims(&json!({"roles": ["segue-admins"]})).to_string());
        let retyped = signed_part(&json!({"alg": key.header()["alg"], "kid": "1"}), &ann());
        for changed in [
            format!("{header}.{admin}.{signature}"),
            format!("{retyped}.{signature}"),
            format!("{signed}.{}", BASE64.encode(&bytes[1..])),
            format!("{signed}.{}", BASE64.encode(&bytes[..bytes.len() - 1])),
            format!("{signed}.{}AAAA", &signature[..signature.len() - 4]),
            format!("{signed}.AAAA{signature}"),
        ] {
            assert!(matches!(outcome(&[&key], &changed).await, Err(JwtError::Signature)));
        }
    }
}

#[tokio::test]
async fn a_token_that_names_no_known_key_is_refused() {
    let (own, other) = (TestKey::p256("1"), TestKey::p256("2"));
    let err = outcome(&[&own], &other.token(&ann())).await.unwrap_err();
    assert!(matches!(err, JwtError::UnknownKey), "{err}");
    // A right signature does not make up for it.
    let mut header = own.header();
    header["kid"] = "3".into();
    let err = outcome(&[&own], &own.token_as(&header, &ann())).await.unwrap_err();
    assert!(matches!(err, JwtError::UnknownKey), "{err}");
}

#[tokio::test]
async fn a_token_must_name_its_key_if_there_are_several() {
    let (one, two) = (TestKey::p256("1").nameless(), TestKey::p256("2"));
    assert!(outcome(&[&one], &one.token(&ann())).await.is_ok());
    let err = outcome(&[&one, &two], &one.token(&ann())).await.unwrap_err();
    assert!(matches!(err, JwtError::KidMissing), "{err}");
    let err = outcome(&[], &one.token(&ann())).await.unwrap_err();
    assert!(matches!(err, JwtError::UnknownKey), "{err}");
}

#[tokio::test]
async fn a_curve_key_does_not_verify_what_calls_itself_rsa() {
    let (curve, rsa) = (TestKey::p256("1"), TestKey::rsa("2"));
    for (key, alg) in [(&curve, "RS256"), (&rsa, "ES256")] {
        let mut header = key.header();
        header["alg"] = alg.into();
        let err = outcome(&[&curve, &rsa], &key.token_as(&header, &ann())).await.unwrap_err();
        assert!(matches!(err, JwtError::KeyForOther), "{alg}: {err}");
        // The only key, and not named.
        header.as_object_mut().unwrap().remove("kid");
        let err = outcome(&[key], &key.token_as(&header, &ann())).await.unwrap_err();
        assert!(matches!(err, JwtError::KeyForOther), "{alg}: {err}");
    }
}

#[tokio::test]
async fn keys_that_share_a_name_are_told_apart_by_family() {
    let (curve, rsa) = (TestKey::p256("1"), TestKey::rsa("1"));
    for key in [&curve, &rsa] {
        assert!(outcome(&[&curve, &rsa], &key.token(&ann())).await.is_ok());
    }
}

#[tokio::test]
async fn a_key_is_used_only_for_what_it_is_published_for() {
    let key = TestKey::rsa("1");
    for (field, value, fine) in [
        ("use", json!("sig"), true),
        ("use", json!("enc"), false),
        ("key_ops", json!(["verify"]), true),
        ("key_ops", json!(["encrypt"]), false),
        ("alg", json!("RS256"), true),
        ("alg", json!("PS256"), false),
        ("alg", json!("RSA-OAEP"), false),
        ("kty", json!("EC"), false),
        // Some issuers write the zero that makes the number positive.
        (
            "n",
            json!(BASE64.encode(
                [&[0], &*BASE64.decode(key.jwk()["n"].as_str().unwrap()).unwrap()].concat()
            )),
            true,
        ),
        // 512 bits.
        ("n", json!(BASE64.encode([0xd1; 64])), false),
        ("n", json!("?"), false),
    ] {
        let issuer = Issuer::with(&[&key]);
        issuer.says().jwks["keys"][0][field] = value.clone();
        let outcome = outcome_with(&issuer, &key.token(&ann())).await;
        assert_eq!(outcome.is_ok(), fine, "{field} {value}");
    }
}

#[tokio::test]
async fn a_key_that_cannot_be_read_does_not_spoil_the_others() {
    let key = TestKey::p256("1");
    let issuer = Issuer::with(&[]);
    let odd = [json!(7), json!({}), json!({"kty": "AKP", "alg": "ML-DSA-44"}), json!({"kty": 7})];
    let short = json!({"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA"});
    issuer.says().jwks = json!({"keys": [odd[0], odd[1], odd[2], odd[3], short, key.jwk()]});
    assert!(outcome_with(&issuer, &key.token(&ann())).await.is_ok());
}

#[tokio::test]
async fn what_the_issuer_signs_for_other_ends_lets_nobody_in() {
    let key = TestKey::p256("1");
    for (field, value, fine) in [
        ("typ", json!("at+jwt"), true),
        ("typ", json!("application/AT+JWT"), true),
        ("typ", json!("logout+jwt"), false),
        ("typ", json!("dpop+jwt"), false),
        ("typ", json!(""), false),
        ("crit", json!(["exp"]), false),
        ("crit", json!([]), false),
    ] {
        let mut header = key.header();
        header[field] = value.clone();
        match outcome(&[&key], &key.token_as(&header, &ann())).await {
            Ok(_) => assert!(fine, "{field} {value}"),
            Err(err) => assert!(!fine && matches!(err, JwtError::Kind), "{field} {value}: {err}"),
        }
    }
}

#[tokio::test]
async fn what_is_no_token_is_refused_before_anybody_is_asked() {
    let key = TestKey::p256("1");
    let issuer = Issuer::with(&[&key]);
    let token = key.token(&ann());
    let (header, rest) = token.split_once('.').unwrap();
    for text in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "a.b".to_owned(),
        header.to_owned(),
        format!("{token}="),
        format!("{token} "),
        format!("{token}.{}", BASE64.encode("more")),
        format!("{header}=.{rest}"),
        format!("{}.{rest}", BASE64.encode("7")),
        format!("{}.{rest}", BASE64.encode(r#"{"alg":"ES256","alg":"none","kid":"1"}"#)),
        format!("{token}{}", "A".repeat(16 * 1024)),
    ] {
        let err = outcome_with(&issuer, &text).await.unwrap_err();
        assert!(matches!(err, JwtError::Malformed), "{text}: {err}");
    }
    assert_eq!(issuer.says().asked, 0);
}
