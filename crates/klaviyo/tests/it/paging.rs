use segue_klaviyo::{CallError, Cursor, InvalidRequest, List, Page, ProtocolError, Reply};

use crate::server::{Server, Step, json, key};

fn page(next: &str) -> String {
    let list = r#"{"type":"list","id":"Y6nRLr","attributes":{"name":"A"}}"#;
    json(200, &format!(r#"{{"data":[{list}],"links":{{"self":"x","next":{next}}}}}"#))
}

async fn first_page(server: &Server) -> Result<Reply<Page<List>>, CallError> {
    server.client().lists_page(&key(), None, None).await
}

#[tokio::test]
async fn next_link_is_sent_back_unchanged() {
    let server = Server::start([]).await;
    let path =
        "/api/lists/?filter=equals%28name%2C%22A+B%22%29&page%5Bcursor%5D=bmV4dDo6aWQ6OjE&x=[1]%2f";
    server.add(Step::Reply(page(&format!(
        r#""{}{}""#,
        server.url.as_str().trim_end_matches('/'),
        path
    ))));
    server.add(Step::Reply(page("null")));
    let client = server.client();
    let cursor = first_page(&server).await.unwrap().value.next.unwrap();
    // Stored and read again, as a job that continues elsewhere would.
    let cursor: Cursor = serde_json::from_str(&serde_json::to_string(&cursor).unwrap()).unwrap();
    let last = client.lists_page(&key(), Some(&cursor), None).await.unwrap().value;
    assert_eq!(last.items.len(), 1);
    assert_eq!(last.next, None);
    assert_eq!(server.received()[1].line(), format!("GET {path} HTTP/1.1"));
}

#[tokio::test]
async fn page_without_a_next_link_is_the_last() {
    for body in
        [r#"{"data":[]}"#, r#"{"data":[],"links":{}}"#, r#"{"data":[],"links":{"next":""}}"#]
    {
        let server = Server::replying(json(200, body)).await;
        assert_eq!(first_page(&server).await.unwrap().value.next, None, "{body}");
    }
}

#[tokio::test]
async fn next_link_to_a_foreign_host_is_refused() {
    let server = Server::start([]).await;
    let port = server.url.port().unwrap();
    let links = [
        "https://a.klaviyo.com/api/lists?page[cursor]=x".to_owned(),
        format!("http://127.0.0.1:{}/api/lists", port ^ 1),
        format!("https://127.0.0.1:{port}/api/lists"),
        format!("http://127.0.0.1:{port}@example.com/api/lists"),
        format!("http://ann@127.0.0.1:{port}/api/lists"),
        format!("http://ann:secret@127.0.0.1:{port}/api/lists"),
        format!("http://localhost:{port}/api/lists"),
        "/api/lists?page[cursor]=x".to_owned(),
    ];
    for link in links {
        server.add(Step::Reply(page(&format!("{link:?}"))));
        let err = first_page(&server).await.unwrap_err();
        assert!(matches!(err, CallError::Protocol(ProtocolError::ForeignLink)), "{link}: {err}");
    }
}

#[tokio::test]
async fn stored_cursor_to_a_foreign_host_sends_nothing() {
    let (server, foreign) = (Server::start([]).await, Server::replying(page("null")).await);
    let cursor: Cursor = serde_json::from_value(foreign.url.as_str().into()).unwrap();
    let err = server.client().lists_page(&key(), Some(&cursor), None).await.unwrap_err();
    assert!(matches!(err, CallError::Invalid(InvalidRequest::ForeignCursor)), "{err}");
    assert_eq!((server.connections(), foreign.connections()), (0, 0));
}

#[tokio::test]
async fn cursor_that_no_request_line_can_hold_sends_nothing_and_is_not_asked_for_again() {
    let server = Server::start([]).await;
    let link = format!("{}api/lists?page[cursor]={}", server.url, "x".repeat(70_000));
    let cursor: Cursor = serde_json::from_value(link.into()).unwrap();
    let err = server.client().lists_page(&key(), Some(&cursor), None).await.unwrap_err();
    assert!(matches!(err, CallError::Invalid(InvalidRequest::Unwritable)), "{err:?}");
    assert!(!err.may_have_been_applied());
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn cursor_shows_no_address_of_its_filter() {
    let link = "https://a.klaviyo.com/api/profiles?filter=any(email,[%22ann@example.com%22])";
    let cursor: Cursor = serde_json::from_value(link.into()).unwrap();
    assert_eq!(format!("{cursor:?}"), "Cursor(..)");
}
