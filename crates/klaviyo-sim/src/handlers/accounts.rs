use serde_json::{Value, json};

use crate::{answer::Answer, context::Context, error::Refusal, profiles::render::sparse};

/// `GET /api/accounts`: the one account of the key.
pub(crate) fn list(context: &Context) -> Answer {
    context.collection(&[account(context)], None)
}

/// `GET /api/accounts/{id}`
pub(crate) fn get(context: &Context) -> Result<Answer, Refusal> {
    if context.id != context.account.id {
        return Err(Refusal::not_found("An account", &context.id));
    }
    let links = json!({"self": context.self_link()});
    Ok(Answer::ok(&json!({"data": account(context), "links": links})))
}

fn account(context: &Context) -> Value {
    let account = &context.account;
    let attributes = json!({
        "test_account": true,
        "contact_information": {
            "default_sender_name": account.name,
            "default_sender_email": "sender@example.com",
            "website_url": "https://example.com",
            "organization_name": account.name,
            "street_address": {"address1": null, "address2": null, "city": null,
                               "region": null, "country": null, "zip": null},
        },
        "industry": "Software / SaaS",
        "timezone": "UTC",
        "preferred_currency": "USD",
        "public_api_key": account.id,
        "locale": "en-US",
    });
    let Value::Object(attributes) = attributes else { return attributes };
    json!({
        "type": "account",
        "id": account.id,
        "attributes": sparse(attributes, context.query.fields("account").as_deref()),
        "links": {"self": format!("{}/api/accounts/{}", context.base, account.id)},
    })
}
