use std::process::ExitCode;

use anyhow::{Context as _, bail};
use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};
use segue_proto::v1;

use super::{
    Output, Servers,
    args::{RoleArg, Tokens, TokensArgs},
    asking, explain, output, present,
};
use crate::ui;

pub(super) async fn run(args: TokensArgs) -> anyhow::Result<ExitCode> {
    let servers = Servers::new(&args.server)?;
    let mut client = servers.tokens();
    match args.command {
        Tokens::Create { display_name, role, expires } => {
            let expires_at = expires.as_deref().map(time).transpose()?;
            let role = role_of(role).into();
            let token = v1::Token { display_name, role, expires_at, ..v1::Token::default() };
            let request = v1::CreateTokenRequest { token: Some(token) };
            let reply = client.create_token(asking(request)).await.map_err(explain)?;
            let mut reply = reply.into_inner();
            let token = present(reply.token.take(), "token")?;
            ui::note(format_args!("{} is made; what follows is shown this once:", token.id));
            match servers.output {
                Output::Json => {
                    let made = output::NewToken { token: token.into(), secret: &reply.secret };
                    ui::say(serde_json::to_string_pretty(&made)?);
                }
                Output::Table => ui::say(&reply.secret),
            }
        }
        Tokens::List => list(&servers).await?,
        Tokens::Revoke { token: id } => {
            let request = v1::RevokeTokenRequest { id: id.clone() };
            let reply = client.revoke_token(asking(request)).await.map_err(explain)?;
            let token = output::Token::from(present(reply.into_inner().token, "token")?);
            let words = format_args!("{id} is refused from now on");
            output::done(servers.output, &token, words)?;
        }
        Tokens::Whoami => {
            let request = v1::GetCallerRequest {};
            let reply = client.get_caller(asking(request)).await.map_err(explain)?;
            output::one(servers.output, &output::Caller::from(reply.into_inner()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(servers: &Servers) -> anyhow::Result<()> {
    let mut all: Vec<output::Token> = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = v1::ListTokensRequest { page_size: 1000, page_token };
        let page =
            servers.tokens().list_tokens(asking(request)).await.map_err(explain)?.into_inner();
        all.extend(page.tokens.into_iter().map(output::Token::from));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return output::many(servers.output, &all);
        }
    }
}

fn role_of(role: RoleArg) -> v1::Role {
    match role {
        RoleArg::Viewer => v1::Role::Viewer,
        RoleArg::Contributor => v1::Role::Contributor,
        RoleArg::Administrator => v1::Role::Administrator,
    }
}

/// `2027-01-31`, which is over when that day begins in UTC, or `90d`.
fn time(text: &str) -> anyhow::Result<prost_types::Timestamp> {
    let wrong = || format!("{text:?} is no time: write a date, as 2027-01-31, or days, as 90d");
    let at = match text.strip_suffix('d').and_then(|days| days.parse::<i32>().ok()) {
        Some(days) if days < 1 => bail!("{}", wrong()),
        Some(days) => {
            let patience = SignedDuration::from_hours(i64::from(days) * 24);
            Timestamp::now().checked_add(patience).with_context(wrong)?
        }
        None => {
            let date: Date = text.parse().with_context(wrong)?;
            date.to_zoned(TimeZone::UTC).with_context(wrong)?.timestamp()
        }
    };
    Ok(prost_types::Timestamp { seconds: at.as_second(), nanos: 0 })
}

#[cfg(test)]
mod tests {
    use super::time;

    #[test]
    fn time_of_expiry_is_a_date_or_a_number_of_days() {
        assert_eq!(time("2027-01-31").unwrap().to_string(), "2027-01-31T00:00:00Z");
        let now = jiff::Timestamp::now().as_second();
        let in_a_day = time("1d").unwrap().seconds - now;
        assert!((86_399..=86_401).contains(&in_a_day), "{in_a_day}");
        for wrong in ["", "d", "0d", "-1d", "tomorrow", "2027-02-30", "99999999d"] {
            assert!(time(wrong).unwrap_err().to_string().contains("is no time"), "{wrong}");
        }
    }
}
