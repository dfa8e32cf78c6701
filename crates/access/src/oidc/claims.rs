use std::time::Duration;

use segue_model::Micros;
use serde_json::Value;

use super::{JwtError, OidcConfig};
use crate::{Identity, Principal, Role, Subject};

/// How far the clock of the issuer may be from ours.
const LEEWAY: Duration = Duration::from_mins(1);

/// Characters of a name. A longer one is hardly what somebody is called.
const MAX_NAME: usize = 200;

/// Whom a verified token speaks of.
pub(super) fn principal(
    payload: &[u8],
    config: &OidcConfig,
    now: Micros,
) -> Result<Principal, JwtError> {
    let claims: Value = serde_json::from_slice(payload).map_err(|_| JwtError::Malformed)?;
    if !claims.is_object() {
        return Err(JwtError::Malformed);
    }
    if text(&claims, "iss")? != config.issuer.as_str() {
        return Err(JwtError::Issuer { wanted: config.issuer.clone() });
    }
    if !audience(&claims)?.contains(&config.audience.as_str()) {
        return Err(JwtError::Audience { wanted: config.audience.clone() });
    }
    check_times(&claims, now)?;
    let sub = text(&claims, "sub")?;
    let identity = Identity::new(config.issuer.clone(), sub);
    let subject = Subject::Oidc(identity.ok_or(JwtError::Claim { claim: "sub" })?);
    let role = role(&claims, config)?;
    let name = name(&claims, config).unwrap_or(sub).to_owned();
    Ok(Principal { subject, name, role })
}

fn check_times(claims: &Value, now: Micros) -> Result<(), JwtError> {
    let expires = time(claims, "exp")?.ok_or(JwtError::Claim { claim: "exp" })?;
    if now >= expires + LEEWAY {
        return Err(JwtError::Expired { at: expires });
    }
    // One from the future was made by a clock, or by somebody, that is not to be believed.
    for claim in ["nbf", "iat"] {
        if let Some(at) = time(claims, claim)?.filter(|at| now + LEEWAY < *at) {
            return Err(JwtError::TooEarly { at });
        }
    }
    Ok(())
}

/// A claim of the wrong type is an error and not an absent one: whoever read an `nbf` in quotes as none at all
/// let people in too early (CVE-2026-25537).
fn time(claims: &Value, claim: &'static str) -> Result<Option<Micros>, JwtError> {
    let Some(value) = claims.get(claim) else { return Ok(None) };
    let since_epoch = value.as_f64().and_then(|it| Duration::try_from_secs_f64(it).ok());
    let since_epoch = since_epoch.ok_or(JwtError::Claim { claim })?;
    Ok(Some(Micros(0) + since_epoch))
}

fn text<'a>(claims: &'a Value, claim: &'static str) -> Result<&'a str, JwtError> {
    claims.get(claim).and_then(Value::as_str).ok_or(JwtError::Claim { claim })
}

/// One text or a list of texts.
fn audience(claims: &Value) -> Result<Vec<&str>, JwtError> {
    let audience = match claims.get("aud") {
        Some(Value::String(one)) => Some(vec![one.as_str()]),
        Some(Value::Array(several)) => several.iter().map(Value::as_str).collect(),
        _ => None,
    };
    audience.ok_or(JwtError::Claim { claim: "aud" })
}

fn role(claims: &Value, config: &OidcConfig) -> Result<Role, JwtError> {
    let values = match find(claims, &config.role_claim) {
        Some(Value::String(one)) => vec![one.as_str()],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => vec![],
    };
    let roles = values.into_iter().filter_map(|value| config.role_map.get(value).copied());
    roles.max().ok_or_else(|| JwtError::NoRole {
        claim: config.role_claim.clone(),
        wanted: config.role_map.keys().cloned().collect(),
    })
}

/// `None` unless it is fit to be shown in one line.
fn name<'a>(claims: &'a Value, config: &OidcConfig) -> Option<&'a str> {
    let name = find(claims, &config.name_claim)?.as_str()?.trim();
    let fit =
        !name.is_empty() && name.chars().count() <= MAX_NAME && !name.chars().any(char::is_control);
    fit.then_some(name)
}

/// By name, or by a JSON pointer for a claim within another.
fn find<'a>(claims: &'a Value, name: &str) -> Option<&'a Value> {
    if name.starts_with('/') { claims.pointer(name) } else { claims.get(name) }
}
