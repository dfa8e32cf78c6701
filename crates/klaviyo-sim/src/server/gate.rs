//! What a request has to pass before its body matters: key, revision, scopes, limits, in this
//! order. A request counts against the limits when its head has arrived.

use std::sync::Arc;

use http::{HeaderMap, header};

use crate::{
    Endpoint,
    account::Account,
    endpoint::Tier,
    error::Refusal,
    query::Query,
    ratelimit::{Lane, RateHeaders, Verdict},
    revision::{self, Served},
    shared::Shared,
    unknowns::ErrorBody,
};

/// How far a request came; what it passed shows in the headers of its answer.
#[derive(Default)]
pub(crate) struct Passage {
    pub(crate) account: Option<Arc<Account>>,
    pub(crate) served: Option<Served>,
    pub(crate) rate: Option<RateHeaders>,
    /// Seconds, for a 429.
    pub(crate) retry_after: Option<u64>,
}

impl Passage {
    /// The account, once every gate is passed.
    pub(crate) fn enter(
        &mut self,
        shared: &Shared,
        endpoint: Endpoint,
        headers: &HeaderMap,
        query: &Query,
    ) -> Result<Arc<Account>, Refusal> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let caller = shared
            .caller(text(header::AUTHORIZATION.as_str()))
            .ok_or_else(Refusal::not_authenticated)?;
        let account = Arc::clone(&caller.account);
        self.account = Some(Arc::clone(&account));
        self.served = Some(revision::serve(text("revision"), &shared.config.unknowns)?);
        if !caller.may(endpoint.scopes()) {
            return Err(match shared.config.unknowns.forbidden_body {
                ErrorBody::JsonApi => Refusal::permission_denied(),
                ErrorBody::Html => Refusal::html(http::StatusCode::FORBIDDEN),
            });
        }
        if !shared.config.no_limits {
            self.take_place(shared, &account, endpoint, query)?;
        }
        Ok(account)
    }

    fn take_place(
        &mut self,
        shared: &Shared,
        account: &Account,
        endpoint: Endpoint,
        query: &Query,
    ) -> Result<(), Refusal> {
        let mut lanes = vec![(Lane::Endpoint(endpoint), endpoint.tier())];
        lanes.extend(extra(endpoint, query));
        match account.limiter().take(&lanes, shared.clock.now()) {
            Verdict::Granted(rate) => {
                self.rate = Some(rate);
                Ok(())
            }
            Verdict::Throttled { retry_after } => {
                self.retry_after = Some(retry_after);
                Err(Refusal::throttled(retry_after))
            }
        }
    }
}

/// The stricter limit of an expensive parameter. Source: the endpoints' descriptions in Klaviyo's
/// OpenAPI file.
fn extra(endpoint: Endpoint, query: &Query) -> Option<(Lane, Tier)> {
    let lane = |name, tier| Some((Lane::Extra(name), tier));
    match endpoint {
        Endpoint::List if query.names("additional-fields[list]", "profile_count") => {
            lane("profile_count", Tier::Xs)
        }
        Endpoint::Profile
            if query.names("include", "lists") || query.names("include", "segments") =>
        {
            lane("include", Tier::Xs)
        }
        _ if query.names("additional-fields[profile]", "predictive_analytics") => {
            lane("predictive_analytics", Tier::M)
        }
        _ => None,
    }
}
