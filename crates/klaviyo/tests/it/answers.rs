//! What each answer of Klaviyo means to the caller.

use std::time::Duration;

use segue_klaviyo::{
    Ambiguity, CallError, ImportJob, KeyProblem, List, ProtocolError, Reply, Unguarded,
};

use crate::server::{HTML, JOB, JSON, LIST, Server, Step, answer, error, json, key};

async fn import(reply: String) -> Result<Reply<ImportJob>, CallError> {
    let server = Server::replying(reply).await;
    let body = bytes::Bytes::from_static(b"{}").into();
    let result = server.client().import(&key(), body, Unguarded).await;
    server.only_request();
    result
}

async fn list(reply: String) -> Result<Reply<List>, CallError> {
    let server = Server::replying(reply).await;
    let result = server.client().list(&key(), &"Y6nRLr".parse().unwrap()).await;
    server.only_request();
    result
}

/// What there is in an error, in one comparable line; personal data is exposed on purpose.
fn summary(err: &CallError) -> String {
    match err {
        CallError::Throttled { retry_after } => format!("throttled {retry_after:?}"),
        CallError::Unavailable { status, retry_after } => {
            format!("unavailable {status} {retry_after:?}")
        }
        CallError::Forbidden { detail } => {
            format!("forbidden {:?}", detail.as_ref().map(segue_model::Pii::expose))
        }
        CallError::Redirected { status } => format!("redirected {status}"),
        CallError::Refused(refusal) => {
            let errors: Vec<_> = refusal
                .errors
                .iter()
                .map(|error| {
                    let pointer = error.pointer.as_deref().unwrap_or("-");
                    format!("{} {} at {pointer}", error.code, error.detail.expose())
                })
                .collect();
            format!("refused {}: {}", refusal.status, errors.join("; "))
        }
        other => other.code().to_owned(),
    }
}

#[tokio::test]
async fn every_documented_error_becomes_its_decision() {
    let throttled = r#""code":"throttled","title":"Request was throttled.","source":{"pointer":"/data/"},"detail":"Request was throttled. Expected available in 7 seconds.""#;
    let cases = [
        (
            error(
                400,
                r#""code":"invalid","title":"Invalid input.","detail":"Invalid email address","source":{"pointer":"/data/attributes/profiles/data/3/attributes/email"},"links":{},"meta":{}"#,
            ),
            "refused 400: invalid Invalid email address at /data/attributes/profiles/data/3/attributes/email",
        ),
        (
            error(
                400,
                r#""code":"invalid","title":"Invalid input.","detail":"List not found with id X.","source":{"pointer":"/data/relationships/lists/data/0/id"}"#,
            ),
            "refused 400: invalid List not found with id X. at /data/relationships/lists/data/0/id",
        ),
        (
            error(401, r#""code":"not_authenticated","detail":"Missing or invalid private key.""#),
            "unauthorized",
        ),
        (answer(401, &[], ""), "unauthorized"),
        (
            error(403, r#""code":"permission_denied","detail":"You need lists:write.""#),
            r#"forbidden Some("You need lists:write.")"#,
        ),
        (json(403, r#"{"message":"no"}"#), "forbidden None"),
        (answer(403, &[HTML, "cf-mitigated: challenge"], "<html>Just a moment…"), "challenged"),
        (answer(403, &["cf-mitigated: challenge"], "{}"), "challenged"),
        (answer(403, &[HTML], "<html>"), "challenged"),
        (
            error(
                404,
                r#""code":"not_found","title":"Not found.","detail":"A list with id `X` does not exist.""#,
            ),
            "not_found",
        ),
        (
            error(
                409,
                r#""code":"duplicate_profile","detail":"Taken.","source":{"pointer":"/data/attributes"}"#,
            ),
            "refused 409: duplicate_profile Taken. at /data/attributes",
        ),
        (error(410, r#""code":"gone""#), "revision_retired"),
        (answer(410, &[], ""), "revision_retired"),
        (
            error(
                413,
                r#""code":"too_large","detail":"Request payload size is too large (> 5 MB)""#,
            ),
            "too_large",
        ),
        (answer(413, &[HTML], "<html>"), "too_large"),
        (error(415, r#""code":"unsupported""#), "refused 415: unsupported  at -"),
        (error(429, throttled), "throttled Some(7s)"),
        (answer(429, &[HTML, "Retry-After: 9"], "<html>"), "throttled Some(9s)"),
        (answer(429, &[HTML], "<html>"), "throttled None"),
        (error(500, r#""code":"error""#), "unavailable 500 None"),
        (answer(503, &[HTML, "Retry-After: 30"], "<html>"), "unavailable 503 Some(30s)"),
        (answer(504, &[HTML], "<html>"), "unavailable 504 None"),
        (answer(524, &[HTML], "<html>error code: 524"), "unavailable 524 None"),
        (answer(408, &[], ""), "unavailable 408 None"),
        (error(408, r#""code":"request_timeout""#), "unavailable 408 None"),
        // A header that the network in front of the API did not like.
        (answer(400, &[HTML], "<html><h1>400 Bad Request</h1>"), "unavailable 400 None"),
        (answer(404, &[HTML], "<html>"), "unavailable 404 None"),
        // The status is known, the rows are not: the same body again will name them.
        (json(400, r#"{"errors":[{"id":"r-1","code":"inv"#), "unavailable 400 None"),
        (json(400, r#"{"errors":[]}"#), "refused 400: "),
        (
            json(400, r#"{"errors":[{"id":7,"code":null,"source":"x","detail":"d"}]}"#),
            "refused 400:  d at -",
        ),
        (answer(302, &["Location: /elsewhere"], ""), "redirected 302"),
        (answer(304, &[], ""), "redirected 304"),
    ];
    for (reply, expected) in cases {
        assert_eq!(summary(&import(reply.clone()).await.unwrap_err()), expected, "{reply}");
        assert_eq!(summary(&list(reply.clone()).await.unwrap_err()), expected, "{reply}");
    }
}

#[tokio::test]
async fn retry_after_is_believed_only_from_one_second_to_one_hour() {
    let cases = [
        ("1", Some(1)),
        (" 60 ", Some(60)),
        ("3600", Some(3600)),
        ("3601", None),
        ("0", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("99999999999999999999999", None),
        ("Tue, 24 Nov 2026 23:00:00 GMT", None),
    ];
    for (header, seconds) in cases {
        let reply = answer(429, &[JSON, &format!("Retry-After: {header}")], "{}");
        let err = import(reply).await.unwrap_err();
        let CallError::Throttled { retry_after } = err else { panic!("{err}") };
        assert_eq!(retry_after, seconds.map(Duration::from_secs), "{header:?}");
    }
}

#[tokio::test]
async fn wait_is_read_from_the_words_when_the_header_is_missing_or_absurd() {
    let words = |wait: &str| {
        let detail = format!("Request was throttled. Expected available in {wait}.");
        format!(r#"{{"errors":[{{"code":"throttled","detail":"{detail}"}}]}}"#)
    };
    let cases = [
        (vec![], words("12 seconds"), Some(12)),
        (vec![], words("1 second"), Some(1)),
        (vec![], words("0 seconds"), None),
        (vec![], words("a while"), None),
        (vec!["Retry-After: -1"], words("12 seconds"), Some(12)),
        (vec!["Retry-After: 5"], words("12 seconds"), Some(5)),
    ];
    for (headers, body, seconds) in cases {
        let err = import(answer(429, &headers, &body)).await.unwrap_err();
        let CallError::Throttled { retry_after } = err else { panic!("{err}") };
        assert_eq!(retry_after, seconds.map(Duration::from_secs), "{headers:?} {body}");
    }
}

#[tokio::test]
async fn every_error_of_a_refusal_of_ten_thousand_rows_is_read() {
    let errors: Vec<_> = (0..10_000)
        .map(|row| {
            format!(
                r#"{{"id":"0a7c9b9e-1111-2222-3333-444455556666","status":400,"code":"invalid","title":"Invalid input.","detail":"Invalid email address","source":{{"pointer":"/data/attributes/profiles/data/{row}/attributes/email"}},"links":{{}},"meta":{{}}}}"#
            )
        })
        .collect();
    let reply = json(400, &format!(r#"{{"errors":[{}]}}"#, errors.join(",")));
    let err = import(reply).await.unwrap_err();
    let CallError::Refused(refusal) = err else { panic!("{err}") };
    let rows: Vec<_> = refusal.refused_rows().rows.into_keys().collect();
    assert_eq!(rows, (0..10_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn accepted_import_is_a_job_with_its_id() {
    let reply = import(json(202, JOB)).await.unwrap();
    assert_eq!(reply.value.id.as_str(), "am9i");
    assert_eq!((reply.value.total_count, reply.value.failed_count), (Some(2), None));
}

#[tokio::test]
async fn success_that_cannot_be_read_may_be_a_job_that_runs() {
    let odd = [
        json(202, r#"{"data":{"type":"profile-bulk-import-job","id":"","attributes":{}}}"#),
        json(202, r#"{"data":{"type":"profile-bulk-import-job","attributes":{}}}"#),
        json(202, r#"{"data":{"type":"profile-bulk-import-job","id":"am"#),
        json(202, r#"{"data":[]}"#),
        json(202, ""),
        answer(204, &[], ""),
        answer(200, &[HTML], "<html>"),
    ];
    for reply in odd {
        let err = import(reply.clone()).await.unwrap_err();
        assert!(matches!(err, CallError::Ambiguous(Ambiguity::Unreadable(_))), "{reply}: {err}");
        assert!(err.may_have_been_applied());
        let read = list(reply.clone()).await.unwrap_err();
        assert!(matches!(read, CallError::Protocol(_)), "{reply}: {read}");
        assert!(!read.may_have_been_applied(), "a read changes nothing");
    }
}

#[tokio::test]
async fn answer_that_breaks_off_is_ambiguous_when_it_said_success() {
    let whole = json(202, JOB);
    let cut = whole[..whole.len() - 20].to_owned();
    let server = Server::start([Step::ReplyAndClose(cut)]).await;
    let body = bytes::Bytes::from_static(b"{}").into();
    let err = server.client().import(&key(), body, Unguarded).await.unwrap_err();
    assert!(matches!(err, CallError::Ambiguous(Ambiguity::Broken(_))), "{err}");
}

#[tokio::test]
async fn refusal_that_breaks_off_was_certainly_not_applied() {
    let whole = error(400, r#""code":"invalid","detail":"Invalid email address""#);
    let cut = whole[..whole.len() - 20].to_owned();
    let server = Server::start([Step::ReplyAndClose(cut)]).await;
    let body = bytes::Bytes::from_static(b"{}").into();
    let err = server.client().import(&key(), body, Unguarded).await.unwrap_err();
    assert!(matches!(err, CallError::Unavailable { status: 400, .. }), "{err}");
    assert!(!err.may_have_been_applied());
}

#[tokio::test]
async fn endless_answer_is_given_up_at_its_limit() {
    let padding = " ".repeat(16 * 1024 * 1024 + 1);
    let err = list(json(200, &padding)).await.unwrap_err();
    assert!(matches!(err, CallError::Protocol(ProtocolError::TooLong)), "{err}");
}

#[tokio::test]
async fn answer_of_exactly_the_limit_is_read() {
    let padding = " ".repeat(16 * 1024 * 1024 - LIST.len());
    let reply = list(json(200, &format!("{LIST}{padding}"))).await.unwrap();
    assert_eq!(reply.value.id.as_str(), "Y6nRLr");
}

#[tokio::test]
async fn account_is_the_only_one_of_its_key() {
    let account = r#"{"type":"account","id":"AbC123","attributes":{"contact_information":{"organization_name":"Example","default_sender_email":"ann@example.com"},"timezone":"Europe/Berlin"}}"#;
    let data = |accounts: &[&str]| json(200, &format!(r#"{{"data":[{}]}}"#, accounts.join(",")));

    let server = Server::replying(data(&[account])).await;
    let reply = server.client().account(&key()).await.unwrap();
    assert_eq!((&*reply.value.id, reply.value.name.as_deref()), ("AbC123", Some("Example")));

    for (accounts, count) in [(vec![], 0), (vec![account, account], 2)] {
        let server = Server::replying(data(&accounts)).await;
        let err = server.client().account(&key()).await.unwrap_err();
        let expected = ProtocolError::Accounts(count);
        assert!(matches!(err, CallError::Protocol(err) if err == expected), "{err}");
    }
}

#[tokio::test]
async fn headers_around_an_answer_are_told_and_a_fallen_back_revision_shows() {
    let headers = |served: &str| {
        let revision = format!("X-Klaviyo-Api-Revision: {served}");
        let others = ["X-Klaviyo-Req-Id: r-1", "Cid: AbC123"];
        let retirement = "X-Klaviyo-Api-Retirement-Date: 2028-07-15";
        answer(200, &[JSON, &revision, others[0], others[1], retirement], LIST)
    };
    let meta = list(headers("2026-07-15")).await.unwrap().meta;
    assert_eq!(meta.request_id.as_deref(), Some("r-1"));
    assert_eq!(meta.account_id.as_deref(), Some("AbC123"));
    assert_eq!(meta.retirement_date.as_deref(), Some("2028-07-15"));
    assert!(!meta.fell_back());
    assert!(list(headers("2026-10-15")).await.unwrap().meta.fell_back());
    assert!(!list(json(200, LIST)).await.unwrap().meta.fell_back(), "nothing was said");
}

#[tokio::test]
async fn server_error_leaves_open_what_was_applied_and_503_does_not() {
    for (status, applied) in [(500, true), (502, true), (504, true), (524, true), (503, false)] {
        let err = import(answer(status, &[], "")).await.unwrap_err();
        assert_eq!(err.may_have_been_applied(), applied, "{status}");
    }
}

#[tokio::test]
async fn key_that_is_refused_differs_from_one_that_cannot_be_sent() {
    let err = list(json(401, "{}")).await.unwrap_err();
    assert!(matches!(err, CallError::Unauthorized(KeyProblem::Refused)), "{err}");
    assert_eq!(err.to_string(), "the API key is not accepted: Klaviyo refused it");
}
