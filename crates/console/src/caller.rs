use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::{Method, request::Parts};
use jiff::Timestamp;
use segue_access::{Role, Rule, rules::rule_of};
use segue_proto::v1;

use crate::{
    failure::Failure,
    form::own_place,
    server::App,
    services::{Services, asking},
    session::{Csrf, Session},
};

/// Whoever is signed in. The services have just said that they know them.
#[derive(Debug)]
pub(crate) struct Caller {
    /// Asked in the name of the caller.
    pub(crate) services: Services,
    /// As the services call them, for ever.
    pub(crate) subject: String,
    pub(crate) name: String,
    /// `None`: a role that this console does not know, and so no button.
    pub(crate) role: Option<Role>,
    pub(crate) csrf: Csrf,
}

impl Caller {
    /// Whether the services would let the caller call this. They decide; this is about which buttons there are.
    pub(crate) fn may(&self, method: &str) -> bool {
        may(self.role, method)
    }
}

/// `method` as `RunService/StartRun`.
fn may(role: Option<Role>, method: &str) -> bool {
    match (role, rule_of(&format!("segue.v1.{method}"))) {
        (Some(role), Ok(Rule::Role(needed))) => role >= needed,
        _ => false,
    }
}

pub(crate) fn role_of(role: v1::Role) -> Option<Role> {
    match role {
        v1::Role::Unspecified => None,
        v1::Role::Viewer => Some(Role::Viewer),
        v1::Role::Contributor => Some(Role::Contributor),
        v1::Role::Administrator => Some(Role::Administrator),
    }
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Failure> {
        let found = Session::find(&parts.headers, &app.cookies, &app.sealer, Timestamp::now());
        let Some(Session { token, csrf }) = found else { return Err(stranger(parts)) };
        let Some(services) = app.services.of(&token) else { return Err(stranger(parts)) };
        let asked = services.tokens().get_caller(asking(v1::GetCallerRequest {})).await?;
        let caller = asked.into_inner();
        let role = role_of(caller.role());
        let v1::GetCallerResponse { subject, display_name, role: _ } = caller;
        let name = if display_name.is_empty() { subject.clone() } else { display_name };
        Ok(Self { services, subject, name, role, csrf })
    }
}

fn stranger(parts: &Parts) -> Failure {
    let here = parts.uri.path_and_query().map_or("/", |here| own_place(here.as_str()));
    let here = if here.is_empty() { "/" } else { here }.to_owned();
    if parts.method != Method::GET {
        return Failure::SignedOut { next: "/".to_owned() };
    }
    // Browsers keep strict cookies back when somebody comes by a link on another site. From a page of this one they
    // send them.
    if parts.headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site") {
        return Failure::Elsewhere { here };
    }
    Failure::SignedOut { next: here }
}

#[cfg(test)]
mod tests {
    use segue_access::Role;

    use super::may;

    #[test]
    fn buttons_follow_the_rules_of_the_services() {
        let allowed = |role| {
            let all =
                ["RunService/StartRun", "StatusService/ListRejects", "TokenService/ListTokens"];
            all.map(|method| may(role, method))
        };
        assert_eq!(allowed(Some(Role::Viewer)), [false, false, false]);
        assert_eq!(allowed(Some(Role::Contributor)), [true, true, false]);
        assert_eq!(allowed(Some(Role::Administrator)), [true, true, true]);
        assert_eq!(allowed(None), [false, false, false]);
        assert!(!may(Some(Role::Administrator), "WorkerService/Claim"));
        assert!(!may(Some(Role::Administrator), "RunService/NoSuchThing"));
    }
}
