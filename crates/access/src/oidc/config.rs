use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Algorithm, FetchError, Issuer};
use crate::Role;

/// Whom to believe, and what it takes to be let in.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcConfig {
    /// As its tokens have it, to the letter.
    pub issuer: Issuer,
    /// Tokens for others are not accepted. What the issuer calls Segue.
    pub audience: String,
    /// At least one; RS256 and ES256 unless said otherwise.
    #[serde(default = "default_algorithms")]
    pub algorithms: Vec<Algorithm>,
    /// The claim that says what somebody may do, a text or a list of texts; `roles` unless said otherwise. If
    /// it begins with a slash it is a JSON pointer, as `/realm_access/roles`.
    #[serde(default = "default_role_claim")]
    pub role_claim: String,
    /// Values of that claim and what they stand for. Of several the highest counts. At least one.
    pub role_map: BTreeMap<String, Role>,
    /// The claim that says what somebody is called; `name` unless said otherwise. Without it, `sub` has to do.
    #[serde(default = "default_name_claim")]
    pub name_claim: String,
}

/// Why nobody could ever be let in. What of it comes from a file names its field.
#[derive(Debug, thiserror::Error)]
pub enum InvalidOidcConfig {
    #[error("audience is empty: tokens for others would be accepted")]
    Audience,
    #[error("algorithms is empty: name at least one, as RS256")]
    Algorithms,
    #[error("role_claim is empty: name the claim that says what somebody may do")]
    RoleClaim,
    #[error("role_map is empty: say which value of the claim stands for which role")]
    RoleMap,
    #[error("no client for the issuer can be made")]
    Http(#[source] FetchError),
}

impl OidcConfig {
    pub(super) fn validate(&self) -> Result<(), InvalidOidcConfig> {
        if self.audience.is_empty() {
            return Err(InvalidOidcConfig::Audience);
        }
        if self.algorithms.is_empty() {
            return Err(InvalidOidcConfig::Algorithms);
        }
        if self.role_claim.is_empty() {
            return Err(InvalidOidcConfig::RoleClaim);
        }
        if self.role_map.is_empty() {
            return Err(InvalidOidcConfig::RoleMap);
        }
        Ok(())
    }
}

fn default_algorithms() -> Vec<Algorithm> {
    vec![Algorithm::Rs256, Algorithm::Es256]
}

fn default_role_claim() -> String {
    "roles".to_owned()
}

fn default_name_claim() -> String {
    "name".to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{InvalidOidcConfig, OidcConfig};
    use crate::{Role, oidc::Algorithm};

    fn read(changes: &Value) -> Result<OidcConfig, String> {
        let mut config = json!({
            "issuer": "https://id.example.com",
            "audience": "segue",
            "role_map": {"segue-admins": "administrator"},
        });
        for (field, value) in changes.as_object().unwrap() {
            config[field] = value.clone();
        }
        serde_json::from_value(config).map_err(|err| err.to_string())
    }

    #[test]
    fn defaults_are_those_of_most_issuers() {
        let config = read(&json!({})).unwrap();
        assert!(config.validate().is_ok());
        assert_eq!(config.algorithms, [Algorithm::Rs256, Algorithm::Es256]);
        assert_eq!((&*config.role_claim, &*config.name_claim), ("roles", "name"));
        assert_eq!(config.role_map["segue-admins"], Role::Administrator);
    }

    #[test]
    fn algorithms_that_anybody_could_sign_with_cannot_be_configured() {
        for word in ["HS256", "none"] {
            let words = read(&json!({"algorithms": [word]})).unwrap_err();
            assert!(words.contains("RS256"), "{words}");
        }
    }

    #[test]
    fn slips_are_refused_when_the_configuration_is_read() {
        for slip in [
            json!({"issuer": "http://id.example.com"}),
            json!({"role_map": {"x": "admin"}}),
            json!({"audiance": "segue"}),
        ] {
            assert!(read(&slip).is_err(), "{slip}");
        }
    }

    #[test]
    fn what_would_let_in_nobody_or_everybody_is_refused() {
        let problem = |changes| read(&changes).unwrap().validate().unwrap_err();
        assert!(matches!(problem(json!({"audience": ""})), InvalidOidcConfig::Audience));
        assert!(matches!(problem(json!({"algorithms": []})), InvalidOidcConfig::Algorithms));
        assert!(matches!(problem(json!({"role_claim": ""})), InvalidOidcConfig::RoleClaim));
        assert!(matches!(problem(json!({"role_map": {}})), InvalidOidcConfig::RoleMap));
    }
}
