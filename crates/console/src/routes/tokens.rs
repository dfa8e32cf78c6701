use askama::Template;
use axum::{extract::Path, response::Response};
use jiff::{SignedDuration, Timestamp};
use segue_proto::v1;

use super::{go_to, problems::Problems};
use crate::{
    caller::{Caller, role_of},
    failure::Failure,
    form::Form,
    page::{Chrome, Place, html, html_as},
    services::{asking, present},
    shown::{Markup, Tone, mark, timestamp, when_given},
};

const INPUTS: [(&str, &str); 3] = [
    ("token.display_name", "display_name"),
    ("token.role", "role"),
    ("token.expires_at", "expires"),
];
/// For how many days a token can be made here.
const LIFETIMES: [(i64, &str); 4] =
    [(30, "In 30 days"), (90, "In 90 days"), (365, "In a year"), (0, "Never")];

#[derive(Template)]
#[template(path = "tokens.html")]
struct TokensPage {
    chrome: Chrome,
    problems: Problems,
    tokens: Vec<TokenRow>,
    display_name: String,
    roles: Vec<Choice>,
    lifetimes: Vec<Choice>,
    /// Shown this once.
    made: Option<Made>,
}

struct TokenRow {
    id: String,
    name: String,
    role: &'static str,
    created: Option<Markup>,
    created_by: String,
    expires: Option<Markup>,
    state: Markup,
    can_be_revoked: bool,
}

struct Choice {
    value: String,
    words: &'static str,
    chosen: bool,
}

struct Made {
    name: String,
    secret: String,
}

#[derive(Template)]
#[template(path = "token_revoke.html")]
struct RevokePage {
    chrome: Chrome,
    id: String,
    name: String,
}

async fn all(caller: &Caller) -> Result<Vec<v1::Token>, Failure> {
    let mut all = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = v1::ListTokensRequest { page_size: 1000, page_token };
        let page = caller.services.tokens().list_tokens(asking(request)).await?.into_inner();
        all.extend(page.tokens);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(all);
        }
    }
}

fn row(token: v1::Token, now: Timestamp) -> TokenRow {
    let revoked = token.revoked_at.is_some();
    let expired = timestamp(token.expires_at).is_some_and(|at| at <= now);
    let state = match (revoked, expired) {
        (true, _) => mark(Tone::Calm, "Taken back"),
        (_, true) => mark(Tone::Calm, "Expired"),
        _ => mark(Tone::Good, "In use"),
    };
    TokenRow {
        role: role_of(token.role()).map_or("unknown", segue_access::Role::as_str),
        created: when_given(token.created_at),
        expires: when_given(token.expires_at),
        can_be_revoked: !revoked,
        state,
        id: token.id,
        name: token.display_name,
        created_by: token.created_by,
    }
}

async fn page(
    caller: &Caller,
    form: &Form,
    problems: Problems,
    made: Option<Made>,
) -> Result<Response, Failure> {
    let now = Timestamp::now();
    let status = problems.status();
    let chosen = |name: &str, otherwise: &str| form.given(name).unwrap_or(otherwise).to_owned();
    let (role, lifetime) = (chosen("role", "contributor"), chosen("expires", "90"));
    let role_choice = |(value, words): (&str, &'static str)| Choice {
        chosen: value == role,
        value: value.to_owned(),
        words,
    };
    let roles = [
        ("viewer", "Viewer: sees exports and runs, and nothing about a person"),
        ("contributor", "Contributor: manages and runs exports, and reads rejected rows"),
        ("administrator", "Administrator: may do everything"),
    ];
    let page = TokensPage {
        chrome: Chrome::new(caller, Place::Tokens, "Tokens").after(form),
        tokens: all(caller).await?.into_iter().map(|token| row(token, now)).collect(),
        display_name: if made.is_some() {
            String::new()
        } else {
            form.text("display_name").to_owned()
        },
        roles: roles.into_iter().map(role_choice).collect(),
        lifetimes: LIFETIMES
            .into_iter()
            .map(|(days, words)| Choice {
                value: days.to_string(),
                words,
                chosen: days.to_string() == lifetime,
            })
            .collect(),
        problems,
        made,
    };
    html_as(status, &page)
}

pub(super) async fn list(caller: Caller, form: Form) -> Result<Response, Failure> {
    page(&caller, &form, Problems::default(), None).await
}

/// Answers with the page itself and not with its address: the secret is nowhere else.
pub(super) async fn create(caller: Caller, form: Form) -> Result<Response, Failure> {
    let role = v1::Role::from_str_name(&format!("ROLE_{}", form.text("role").to_uppercase()));
    let days = form.text("expires").parse().unwrap_or(90_i64).clamp(0, 3650);
    let expires = (days > 0).then(|| {
        let at = Timestamp::now().as_second() + SignedDuration::from_hours(days * 24).as_secs();
        prost_types::Timestamp { seconds: at, nanos: 0 }
    });
    let token = v1::Token {
        display_name: form.text("display_name").to_owned(),
        role: role.unwrap_or_default().into(),
        expires_at: expires,
        ..v1::Token::default()
    };
    let request = v1::CreateTokenRequest { token: Some(token) };
    match caller.services.tokens().create_token(asking(request)).await {
        Ok(made) => {
            let mut made = made.into_inner();
            let name = present(made.token.take())?.display_name;
            // What is left behind is wiped.
            let made = Made { name, secret: made.secret.clone() };
            page(&caller, &form, Problems::default(), Some(made)).await
        }
        Err(status) => page(&caller, &form, Problems::of(&status, &INPUTS)?, None).await,
    }
}

pub(super) async fn ask(caller: Caller, Path(id): Path<String>) -> Result<Response, Failure> {
    let found = all(&caller).await?.into_iter().find(|token| token.id == id);
    let token = found.ok_or(Failure::NoPage)?;
    let chrome = Chrome::new(&caller, Place::Tokens, "Take a token back");
    html(&RevokePage { chrome, id: token.id, name: token.display_name })
}

pub(super) async fn revoke(caller: Caller, Path(id): Path<String>) -> Result<Response, Failure> {
    let request = v1::RevokeTokenRequest { id };
    caller.services.tokens().revoke_token(asking(request)).await?;
    Ok(go_to("/tokens?done=revoked"))
}
