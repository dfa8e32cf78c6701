use std::time::Duration;

use segue_access::{
    Denied, Role,
    token::{TokenText, admit},
};
use segue_proto::{
    timestamp,
    v1::{self, token_service_client::TokenServiceClient},
};
use segue_store::Clock as _;
use tonic::{Code, Status, transport::Channel};

use super::{World, field_names, missing};
use crate::{Error, token_record};

impl World {
    fn tokens(&self) -> TokenServiceClient<Channel> {
        TokenServiceClient::new(self.channel.clone())
    }

    async fn create_token(&self, token: v1::Token) -> Result<v1::CreateTokenResponse, Status> {
        let request = v1::CreateTokenRequest { token: Some(token) };
        Ok(self.tokens().create_token(request).await?.into_inner())
    }

    async fn list_tokens(&self, page_size: i32, page_token: String) -> v1::ListTokensResponse {
        let request = v1::ListTokensRequest { page_size, page_token };
        self.tokens().list_tokens(request).await.unwrap().into_inner()
    }

    async fn revoke_token(&self, id: &str) -> Result<v1::Token, Status> {
        let request = v1::RevokeTokenRequest { id: id.to_owned() };
        Ok(self.tokens().revoke_token(request).await?.into_inner().token.unwrap())
    }

    /// As the door of a listener does.
    async fn let_in(&self, text: &str) -> Result<Role, Denied> {
        let presented = TokenText::parse(text).unwrap();
        let record = token_record(self.cp.store(), presented.id).await.unwrap();
        admit(record.as_ref(), &presented, self.clock.now()).map(|principal| principal.role)
    }
}

fn token(name: &str, role: v1::Role) -> v1::Token {
    v1::Token { display_name: name.to_owned(), role: role.into(), ..v1::Token::default() }
}

#[tokio::test]
async fn token_lets_in_until_it_expires_or_is_taken_back() {
    let world = World::new().await;
    let expires_at = Some(timestamp(world.clock.now() + Duration::from_mins(1)));
    let brief = v1::Token { expires_at, ..token("brief", v1::Role::Viewer) };
    let brief = world.create_token(brief).await.unwrap();
    let lasting = world.create_token(token("lasting", v1::Role::Contributor)).await.unwrap();
    assert_eq!(world.let_in(&brief.secret).await.unwrap(), Role::Viewer);
    assert_eq!(world.let_in(&lasting.secret).await.unwrap(), Role::Contributor);
    world.clock.advance(Duration::from_mins(1));
    assert!(matches!(world.let_in(&brief.secret).await, Err(Denied::Expired { .. })));

    let id = &lasting.token.as_ref().unwrap().id;
    let revoked = world.revoke_token(id).await.unwrap();
    assert_eq!(revoked.revoked_at, Some(timestamp(world.clock.now())));
    assert!(matches!(world.let_in(&lasting.secret).await, Err(Denied::Revoked { .. })));
    world.clock.advance(Duration::from_mins(1));
    assert_eq!(world.revoke_token(id).await.unwrap(), revoked);
    let unknown = "0000000000000000000001";
    let gone = missing(world.revoke_token(unknown).await, Code::NotFound);
    assert_eq!(gone, ("segue.v1.Token".to_owned(), unknown.to_owned()));
}

#[tokio::test]
async fn tokens_are_listed_page_by_page_without_what_proves_them() {
    let world = World::new().await;
    let mut made = Vec::new();
    for name in ["a", "b", "c"] {
        let reply = world.create_token(token(name, v1::Role::Viewer)).await.unwrap();
        let token = reply.token.clone().unwrap();
        assert_eq!(token.created_by, "token:0000000000000000000000");
        let rest = reply.secret.strip_prefix(&format!("segue_{}_", token.id));
        assert!(rest.is_some_and(|secret| secret.len() > 40), "it is no token");
        made.push(token);
        world.clock.advance(Duration::from_millis(1));
    }
    let first = world.list_tokens(2, String::new()).await;
    assert_eq!(first.tokens, made[..2]);
    let second = world.list_tokens(2, first.next_page_token).await;
    assert_eq!((second.tokens.as_slice(), second.next_page_token.as_str()), (&made[2..], ""));
}

#[tokio::test]
async fn what_is_wrong_with_a_token_is_named() {
    let world = World::new().await;
    let expires_at = Some(timestamp(world.clock.now()));
    for (wrong, field) in [
        (token("", v1::Role::Viewer), "token.display_name"),
        (token("x", v1::Role::Unspecified), "token.role"),
        (v1::Token { role: 9, ..token("x", v1::Role::Viewer) }, "token.role"),
        (v1::Token { expires_at, ..token("x", v1::Role::Viewer) }, "token.expires_at"),
    ] {
        assert_eq!(field_names(world.create_token(wrong).await), [field]);
    }
    assert_eq!(field_names(world.revoke_token("x").await), ["id"]);
    let none = world.tokens().create_token(v1::CreateTokenRequest { token: None }).await;
    assert_eq!(field_names(none), ["token"]);
}

#[tokio::test]
async fn caller_is_told_who_they_are() {
    let world = World::new().await;
    let caller = world.tokens().get_caller(v1::GetCallerRequest {}).await.unwrap().into_inner();
    assert_eq!(caller.subject, "token:0000000000000000000000");
    assert_eq!((caller.display_name.as_str(), caller.role()), ("Tester", v1::Role::Administrator));
}

#[tokio::test]
async fn first_token_is_made_once_and_only_if_somebody_has_it() {
    let world = World::new().await;
    let lost = world.cp.create_first_token(|_| Err(Error::NoVault)).await;
    assert!(matches!(lost, Err(Error::NoVault)));
    let mut text = None;
    let keep = |token: &secrecy::SecretString| {
        text = Some(token.clone());
        Ok::<_, Error>(())
    };
    assert!(world.cp.create_first_token(keep).await.unwrap());
    let text = secrecy::ExposeSecret::expose_secret(&text.unwrap()).to_owned();
    assert_eq!(world.let_in(&text).await.unwrap(), Role::Administrator);
    let again = world.cp.create_first_token(|_| -> Result<(), Error> { panic!("there is one") });
    assert!(!again.await.unwrap());
}
