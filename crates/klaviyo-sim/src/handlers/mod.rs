//! What the endpoints do.

mod accounts;
mod consent;
mod lists;
mod members;
mod profiles;

use crate::{
    Endpoint, answer::Answer, context::Context, error::Refusal, import::handlers as import,
};

pub(crate) async fn answer(endpoint: Endpoint, context: Context) -> Result<Answer, Refusal> {
    let context = &match endpoint {
        Endpoint::Import => return import::create(context).await,
        _ => context,
    };
    match endpoint {
        Endpoint::Import => unreachable!("it took the context and returned"),
        Endpoint::Accounts => Ok(accounts::list(context)),
        Endpoint::Account => accounts::get(context),
        Endpoint::Lists => lists::list(context),
        Endpoint::CreateList => lists::create(context),
        Endpoint::List => lists::get(context),
        Endpoint::UpdateList => lists::update(context),
        Endpoint::DeleteList => lists::delete(context),
        Endpoint::FlowTriggers => lists::flow_triggers(context),
        Endpoint::Members => members::list(context, false),
        Endpoint::MemberIds => members::list(context, true),
        Endpoint::AddMembers => members::add(context),
        Endpoint::RemoveMembers => members::remove(context),
        Endpoint::Profiles => profiles::list(context),
        Endpoint::CreateProfile => profiles::create(context),
        Endpoint::Profile => profiles::get(context),
        Endpoint::UpdateProfile => profiles::update(context),
        Endpoint::UpsertProfile => profiles::upsert(context),
        Endpoint::ImportJobs => import::list(context),
        Endpoint::ImportJob => import::get(context),
        Endpoint::ImportErrors => import::errors(context),
        Endpoint::ImportProfiles => import::profiles(context, false),
        Endpoint::ImportProfileIds => import::profiles(context, true),
        Endpoint::ImportLists => import::job_lists(context, false),
        Endpoint::ImportListIds => import::job_lists(context, true),
        Endpoint::Subscribe
        | Endpoint::Unsubscribe
        | Endpoint::Suppress
        | Endpoint::Unsuppress
        | Endpoint::ErasePerson
        | Endpoint::MergeProfiles => consent::answer(endpoint, context),
    }
}
