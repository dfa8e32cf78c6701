//! What a token says: for whom it is, for how long, and what it makes of somebody.

use segue_access::{Class, Role, oidc::JwtError};
use serde_json::{Value, json};

use crate::{
    issuer::{BEGAN, Issuer, at, claims, claims_without, verified, verified_at},
    keys::TestKey,
};

#[tokio::test]
async fn a_token_ends_a_minute_after_it_expires() {
    let key = TestKey::p256("1");
    let claims = claims(&json!({}));
    assert!(verified_at(&key, &claims, 359).await.is_ok());
    let err = verified_at(&key, &claims, 360).await.unwrap_err();
    assert!(matches!(err, JwtError::Expired { at: expired } if expired == at(300)), "{err}");
    assert_eq!(err.class(), Class::Unauthenticated);
}

#[tokio::test]
async fn a_token_begins_a_minute_before_it_is_valid_or_was_made() {
    let key = TestKey::p256("1");
    for claim in ["nbf", "iat"] {
        let claims = claims(&json!({claim: BEGAN + 100}));
        assert!(verified_at(&key, &claims, 40).await.is_ok(), "{claim}");
        let err = verified_at(&key, &claims, 39).await.unwrap_err();
        assert!(matches!(err, JwtError::TooEarly { at: valid } if valid == at(100)), "{claim}");
    }
}

#[tokio::test]
async fn without_an_end_in_plain_numbers_a_token_is_refused() {
    let key = TestKey::p256("1");
    let mut cases = vec![claims_without("exp")];
    let until = BEGAN + 300;
    for value in [json!(until.to_string()), json!(null), json!([until]), json!(-1), json!(1e300)] {
        cases.push(claims(&json!({"exp": value})));
    }
    for claims in cases {
        let err = verified(&key, &claims).await.unwrap_err();
        assert!(matches!(err, JwtError::Claim { claim: "exp" }), "{claims}: {err}");
    }
}

#[tokio::test]
async fn a_time_may_have_a_fraction() {
    let claims = claims(&json!({"exp": 1_790_000_000.5, "iat": 1_789_999_999.25}));
    assert!(verified_at(&TestKey::p256("1"), &claims, 60).await.is_ok());
    assert!(verified_at(&TestKey::p256("1"), &claims, 61).await.is_err());
}

/// CVE-2026-25537 of `jsonwebtoken`: an `nbf` in quotes counted as none.
#[tokio::test]
async fn a_claim_of_the_wrong_type_is_not_an_absent_one() {
    let key = TestKey::p256("1");
    for (claim, value) in [
        ("nbf", json!((BEGAN + 5000).to_string())),
        ("nbf", json!(null)),
        ("iat", json!("now")),
        ("iss", json!(["https://id.example.com"])),
        ("aud", json!({"segue": true})),
        ("aud", json!(["segue", 7])),
        ("sub", json!(7)),
    ] {
        let err = verified(&key, &claims(&json!({claim: value}))).await.unwrap_err();
        assert!(
            matches!(err, JwtError::Claim { claim: named } if named == claim),
            "{claim}: {err}"
        );
    }
}

#[tokio::test]
async fn a_token_of_another_issuer_is_refused() {
    let key = TestKey::p256("1");
    for issuer in ["https://id.example.com/", "https://ID.example.com", "https://other.example", ""]
    {
        let err = verified(&key, &claims(&json!({"iss": issuer}))).await.unwrap_err();
        assert!(matches!(err, JwtError::Issuer { .. }), "{issuer}: {err}");
    }
    let err = verified(&key, &claims_without("iss")).await.unwrap_err();
    assert!(matches!(err, JwtError::Claim { claim: "iss" }));
}

#[tokio::test]
async fn a_token_for_somebody_else_is_refused() {
    let key = TestKey::p256("1");
    for audience in [json!("segue2"), json!("Segue"), json!(""), json!([]), json!(["a", "segue "])]
    {
        let err = verified(&key, &claims(&json!({"aud": audience}))).await.unwrap_err();
        assert!(matches!(err, JwtError::Audience { .. }), "{audience}: {err}");
    }
    let err = verified(&key, &claims_without("aud")).await.unwrap_err();
    assert!(matches!(err, JwtError::Claim { claim: "aud" }));
}

#[tokio::test]
async fn a_token_for_several_counts_for_each() {
    let claims = claims(&json!({"aud": ["billing", "segue"]}));
    assert!(verified(&TestKey::p256("1"), &claims).await.is_ok());
}

#[tokio::test]
async fn whoever_has_no_sub_that_can_be_written_down_is_nobody() {
    let key = TestKey::p256("1");
    let subs = [String::new(), "x".repeat(256), "ann\nroot".to_owned()];
    let mut cases = vec![claims_without("sub")];
    cases.extend(subs.map(|sub| claims(&json!({"sub": sub}))));
    for claims in cases {
        let err = verified(&key, &claims).await.unwrap_err();
        assert!(matches!(err, JwtError::Claim { claim: "sub" }), "{claims}: {err}");
    }
    assert!(verified(&key, &claims(&json!({"sub": "é".repeat(255)}))).await.is_ok());
}

#[tokio::test]
async fn of_several_roles_the_highest_counts() {
    let key = TestKey::p256("1");
    for (roles, role) in [
        (json!(["segue-admins", "segue-readers"]), Role::Administrator),
        (json!(["segue-readers", "segue-admins"]), Role::Administrator),
        (json!(["hr", "segue-readers", 7, "segue-editors"]), Role::Contributor),
        (json!("segue-readers"), Role::Viewer),
    ] {
        let principal = verified(&key, &claims(&json!({"roles": roles}))).await.unwrap();
        assert_eq!(principal.role, role, "{roles}");
    }
}

#[tokio::test]
async fn without_a_role_the_words_tell_which_claim_and_values_are_missing() {
    let key = TestKey::p256("1");
    let mut cases = vec![claims_without("roles")];
    for roles in [json!([]), json!(["hr"]), json!("administrator"), json!({"segue-admins": 1})] {
        cases.push(claims(&json!({"roles": roles})));
    }
    for claims in cases {
        let err = verified(&key, &claims).await.unwrap_err();
        assert_eq!(err.class(), Class::Forbidden, "{claims}");
        let words = err.to_string();
        for wanted in ["roles", "segue-readers", "segue-editors", "segue-admins"] {
            assert!(words.contains(wanted), "{words}");
        }
        assert!(!words.contains("hr"), "{words}");
    }
}

#[tokio::test]
async fn roles_may_be_within_another_claim_or_under_a_url() {
    let key = TestKey::p256("1");
    let roles = json!(["segue-admins"]);
    let claims = claims(&json!({
        "realm_access": {"roles": roles},
        "https://segue.example/roles": roles,
        "a/b": {"c/d": roles},
    }));
    let role = async |claim: &str| {
        let trusted = Issuer::with(&[&key]).trusted_with(&json!({"role_claim": claim}));
        trusted.verify(&key.token(&claims), at(0)).await.map(|principal| principal.role).ok()
    };
    assert_eq!(role("/realm_access/roles").await, Some(Role::Administrator));
    assert_eq!(role("https://segue.example/roles").await, Some(Role::Administrator));
    assert_eq!(role("/a~1b/c~1d").await, Some(Role::Administrator));
    assert_eq!(role("/roles").await, Some(Role::Contributor));
    for claim in ["realm_access", "realm_access/roles", "/realm_access", "/realm_access/x", "/"] {
        assert_eq!(role(claim).await, None, "{claim}");
    }
}

#[tokio::test]
async fn a_name_that_cannot_be_shown_gives_way_to_the_sub() {
    let key = TestKey::p256("1");
    let name = async |claims: Value| verified(&key, &claims).await.unwrap().name;
    assert_eq!(name(claims(&json!({"name": " Ann "}))).await, "Ann");
    assert_eq!(name(claims_without("name")).await, "248289761001");
    for other in [json!(""), json!(7), json!("a\u{1b}[2J"), json!("x".repeat(201))] {
        assert_eq!(name(claims(&json!({"name": other}))).await, "248289761001", "{other}");
    }
}

#[tokio::test]
async fn claims_that_are_no_object_are_refused() {
    for claims in [json!(["exp"]), json!(7), json!(null)] {
        let err = verified(&TestKey::p256("1"), &claims).await.unwrap_err();
        assert!(matches!(err, JwtError::Malformed), "{claims}: {err}");
    }
}
