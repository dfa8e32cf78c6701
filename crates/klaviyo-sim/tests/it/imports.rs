//! Posting imports: what is refused at once, and what is accepted.

use std::io::Write;

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::Method;
use klaviyo_sim::{
    BadPhoneWithEmail, Config, ErrorBody, Gzip, Megabyte, SeveralLists, UnknownListPointer,
    Unknowns,
};
use serde_json::{Value, json};

use crate::client::{
    JOBS, complete, emails, get, import, import_of, post, request, send, start, unlimited,
};

const DATA: &str = "/data/attributes/profiles/data";

fn with(unknowns: Unknowns) -> Config {
    Config { unknowns, ..unlimited() }
}

#[tokio::test]
async fn accepted_import_answers_with_a_queued_job() {
    let sim = start(unlimited()).await;
    let reply = post(&sim, JOBS, &import_of(&emails(&["a@example.com"]), &["LIST01"])).await;
    assert_eq!(reply.status, 202);
    let job = &reply.json()["data"];
    assert_eq!(job["type"], "profile-bulk-import-job");
    let id = job["id"].as_str().unwrap();
    let opaque = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    assert!(id.len() == 58 && id.bytes().all(opaque), "{id}");
    let attributes = &job["attributes"];
    assert_eq!(attributes["status"], "queued");
    assert_eq!(attributes["total_count"], 1);
    assert_eq!(attributes["started_at"], Value::Null);
    let time = |name: &str| attributes[name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let lifetime = time("expires_at").duration_since(time("created_at"));
    assert_eq!(lifetime, jiff::SignedDuration::from_hours(7 * 24));
    let link = format!("http://klaviyo.example.com{JOBS}/{id}");
    assert_eq!(job["links"]["self"], link);
}

#[tokio::test]
async fn one_bad_profile_refuses_the_whole_import_and_every_bad_index_is_named() {
    let sim = start(unlimited()).await;
    let people = json!([
        {"email": "good@example.com"},
        {"email": "x!@example.com"},
        {"phone_number": "12025550123"},
        {"email": "refuse-me@example.com"},
        {"email": "a@example.com", "properties": [1]},
    ]);
    let reply = post(&sim, JOBS, &import_of(people.as_array().unwrap(), &["LIST01"])).await;
    assert_eq!(reply.status, 400);
    assert_eq!(
        reply.pointers(),
        [
            format!("{DATA}/1/attributes/email"),
            format!("{DATA}/2/attributes/phone_number"),
            format!("{DATA}/3/attributes/email"),
            format!("{DATA}/4/attributes/properties"),
        ]
    );
    let errors = reply.json()["errors"].clone();
    assert_eq!(errors[0]["code"], "invalid");
    assert_eq!(errors[0]["title"], "Invalid input.");
    assert_eq!(errors[0]["detail"], "Invalid email address");
    let phone = "Invalid phone number format (Example of a valid format: +12345678901)";
    assert_eq!(errors[1]["detail"], phone);
    let state = sim.state();
    assert_eq!((state.imports().count(), state.accounts["SIMULA"].profiles), (0, 0));
}

#[tokio::test]
async fn refusal_names_only_the_first_bad_profiles_when_configured() {
    let sim = start(with(Unknowns { named_rows: Some(2), ..Unknowns::default() })).await;
    let bad = emails(&["x!@example.com", "y!@example.com", "z!@example.com"]);
    let reply = post(&sim, JOBS, &import_of(&bad, &["LIST01"])).await;
    let expected = [format!("{DATA}/0/attributes/email"), format!("{DATA}/1/attributes/email")];
    assert_eq!(reply.pointers(), expected);
}

#[tokio::test]
async fn bad_phone_beside_a_good_address_is_dropped_or_refused() {
    let person = [json!({"email": "a@example.com", "phone_number": "12"})];
    let sim = start(unlimited()).await;
    import(&sim, &person).await;
    let attributes = sim.profile("a@example.com").unwrap()["attributes"].clone();
    assert_eq!(attributes["phone_number"], Value::Null);
    let bad_phone_with_email = BadPhoneWithEmail::Refused;
    let sim = start(with(Unknowns { bad_phone_with_email, ..Unknowns::default() })).await;
    assert_eq!(post(&sim, JOBS, &import_of(&person, &["LIST01"])).await.status, 400);
}

#[tokio::test]
async fn unknown_list_is_refused_and_makes_no_job() {
    for (unknown_list_pointer, pointer) in [
        (UnknownListPointer::ListId, "/data/relationships/lists/data/0/id"),
        (UnknownListPointer::Data, "/data"),
    ] {
        let sim = start(with(Unknowns { unknown_list_pointer, ..Unknowns::default() })).await;
        let reply = post(&sim, JOBS, &import_of(&emails(&["a@example.com"]), &["GONE01"])).await;
        assert_eq!((reply.status.as_u16(), reply.error("code")), (400, "invalid".into()));
        assert_eq!(reply.pointers(), [pointer]);
        assert_eq!(sim.state().imports().count(), 0);
    }
}

#[tokio::test]
async fn several_lists_are_all_joined_or_refused() {
    let new = json!({"data": {"type": "list", "attributes": {"name": "Second"}}});
    let body = |second: &str| import_of(&emails(&["a@example.com"]), &["LIST01", second]);
    let sim = start(unlimited()).await;
    let second = post(&sim, "/api/lists", &new).await.json()["data"]["id"].clone();
    let second = second.as_str().unwrap();
    let job = post(&sim, JOBS, &body(second)).await.json()["data"]["id"].clone();
    complete(&sim, job.as_str().unwrap()).await;
    assert_eq!((sim.members("LIST01").len(), sim.members(second).len()), (1, 1));

    let several_lists = SeveralLists::Refused;
    let sim = start(with(Unknowns { several_lists, ..Unknowns::default() })).await;
    assert_eq!(post(&sim, JOBS, &body("LIST01")).await.status, 400);
}

#[tokio::test]
async fn import_without_a_list_makes_profiles_and_no_members() {
    let sim = start(unlimited()).await;
    let mut body = import_of(&emails(&["a@example.com"]), &[]);
    body["data"].as_object_mut().unwrap().remove("relationships");
    let job = post(&sim, JOBS, &body).await.json()["data"]["id"].clone();
    complete(&sim, job.as_str().unwrap()).await;
    assert!(sim.profile("a@example.com").is_some() && sim.members("LIST01").is_empty());
}

#[tokio::test]
async fn ten_thousand_profiles_are_taken_and_one_more_is_refused() {
    let sim = start(unlimited()).await;
    let mut people: Vec<Value> =
        (0..10_001).map(|n| json!({"email": format!("p{n}@example.com")})).collect();
    let reply = post(&sim, JOBS, &import_of(&people, &["LIST01"])).await;
    assert_eq!((reply.status.as_u16(), reply.pointers()), (400, vec![DATA.to_owned()]));
    people.pop();
    assert_eq!(post(&sim, JOBS, &import_of(&people, &["LIST01"])).await.status, 202);
}

fn of_size(bytes: usize) -> String {
    let body = import_of(&[json!({"email": "a@example.com"})], &["LIST01"]).to_string();
    format!("{body}{}", " ".repeat(bytes - body.len()))
}

#[tokio::test]
async fn body_over_five_megabytes_is_413() {
    for (megabyte, limit) in [(Megabyte::Decimal, 5_000_000), (Megabyte::Binary, 5_242_880)] {
        let sim = start(with(Unknowns { megabyte, ..Unknowns::default() })).await;
        let fits = send(&sim, request(Method::POST, JOBS, of_size(limit))).await.unwrap();
        assert_eq!(fits.status, 202);
        let reply = send(&sim, request(Method::POST, JOBS, of_size(limit + 1))).await.unwrap();
        assert_eq!(reply.status, 413);
        assert_eq!(reply.error("detail"), "Request payload size is too large (> 5 MB)");
    }
}

#[tokio::test]
async fn body_of_413_can_be_that_of_a_gateway() {
    let too_large_body = ErrorBody::Html;
    let sim = start(with(Unknowns { too_large_body, ..Unknowns::default() })).await;
    let reply = send(&sim, request(Method::POST, JOBS, of_size(5_000_001))).await.unwrap();
    assert!(reply.body.starts_with(b"<!DOCTYPE html>"));
}

fn gzipped(body: &str) -> http::Request<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body.as_bytes()).unwrap();
    let mut request = request(Method::POST, JOBS, encoder.finish().unwrap());
    request.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
    request
}

#[tokio::test]
async fn compressed_body_is_taken_but_the_limit_counts_it_decompressed() {
    let sim = start(unlimited()).await;
    assert_eq!(send(&sim, gzipped(&of_size(5_000_000))).await.unwrap().status, 202);
    assert_eq!(send(&sim, gzipped(&of_size(5_000_001))).await.unwrap().status, 413);
    let sim = start(with(Unknowns { gzip: Gzip::Refused, ..Unknowns::default() })).await;
    assert_eq!(send(&sim, gzipped(&of_size(1_000))).await.unwrap().status, 415);
}

#[tokio::test]
async fn body_that_is_no_import_is_refused() {
    let sim = start(unlimited()).await;
    let nobody = import_of(&[], &["LIST01"]);
    let mut other = import_of(&emails(&["a@example.com"]), &["LIST01"]);
    other["data"]["type"] = "profile".into();
    for bad in
        [json!({}), json!([]), json!({"data": {"type": "profile-bulk-import-job"}}), nobody, other]
    {
        assert_eq!(post(&sim, JOBS, &bad).await.status, 400, "{bad}");
    }
    for bad in [&b"{"[..], b"", b"{} {}", b"{\"data\": \"\xff\"}"] {
        assert_eq!(send(&sim, request(Method::POST, JOBS, bad)).await.unwrap().status, 400);
    }
}

#[tokio::test]
async fn escaped_strings_are_read_as_what_they_mean() {
    let sim = start(unlimited()).await;
    let body = import_of(&emails(&["AT"]), &["LIST01"]).to_string();
    let body = body.replace("\"AT\"", r#""a\u0040ex\u0061mple.com""#);
    let reply = send(&sim, request(Method::POST, JOBS, body)).await.unwrap();
    complete(&sim, reply.json()["data"]["id"].as_str().unwrap()).await;
    assert_eq!(sim.members("LIST01"), ["a@example.com"]);
    assert_eq!(get(&sim, "/api/profiles").await.json()["data"].as_array().unwrap().len(), 1);
}
