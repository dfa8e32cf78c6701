//! Pages, filters and sorting; lists and their members.

use http::Method;
use klaviyo_sim::{
    AccountConfig, Config, FlowConfig, LastPage, ListConfig, RemoveNonMember, Simulator, Unknowns,
};
use serde_json::{Value, json};

use crate::client::{JOBS, call, emails, filter, get, import, import_of, post, start, unlimited};

async fn pages(sim: &Simulator, target: &str) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut target = target.to_owned();
    loop {
        let reply = get(sim, &target).await;
        assert_eq!(reply.status, 200, "{:?}", reply.body);
        pages.push(reply.ids());
        let json = reply.json();
        let Some(next) = json["links"]["next"].as_str() else { return pages };
        next.strip_prefix("http://klaviyo.example.com").unwrap().clone_into(&mut target);
    }
}

fn many_lists() -> Config {
    let lists = (0..23).map(|n| ListConfig::new(format!("L{n:05}"), format!("List {n}")));
    let account = AccountConfig { lists: lists.collect(), ..AccountConfig::default() };
    Config { accounts: vec![account], ..unlimited() }
}

#[tokio::test]
async fn lists_come_ten_a_page_and_not_one_more() {
    let sim = start(many_lists()).await;
    let pages = pages(&sim, "/api/lists").await;
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 3]);
    let reply = get(&sim, "/api/lists?page[size]=11").await;
    assert_eq!(reply.status, 400);
    assert_eq!(reply.json()["errors"][0]["source"]["parameter"], "page[size]");
}

#[tokio::test]
async fn lists_are_filtered_by_name_and_id() {
    let sim = start(many_lists()).await;
    for (expression, expected) in [
        (r#"equals(name,"List 7")"#, vec!["L00007"]),
        (r#"any(id,["L00001","L00002","NOBODY"])"#, vec!["L00001", "L00002"]),
        (r#"any(id,["L00001","L00002"]),equals(name,"List 2")"#, vec!["L00002"]),
    ] {
        let reply = get(&sim, &format!("/api/lists?{}", filter(expression))).await;
        assert_eq!(reply.ids(), expected, "{expression}");
    }
    let reply = get(&sim, &format!("/api/lists?{}", filter("equals(name,List)"))).await;
    assert_eq!(
        (reply.status.as_u16(), reply.error("detail")),
        (400, "Invalid filter provided".into())
    );
}

#[tokio::test]
async fn last_page_has_no_next_link_or_a_null_one() {
    let sim = start(unlimited()).await;
    let links = get(&sim, "/api/lists").await.json()["links"].clone();
    assert_eq!(links.get("next"), None);
    let unknowns = Unknowns { last_page: LastPage::Null, ..Unknowns::default() };
    let sim = start(Config { unknowns, ..unlimited() }).await;
    let links = get(&sim, "/api/lists").await.json()["links"].clone();
    assert_eq!(links.get("next"), Some(&Value::Null));
}

#[tokio::test]
async fn jobs_are_filtered_by_status_and_paged_newest_first() {
    let sim = start(unlimited()).await;
    let mut jobs = Vec::new();
    for n in 0..5 {
        jobs.push(import(&sim, &emails(&[&format!("p{n}@example.com")])).await.0);
    }
    jobs.reverse();
    let newest = format!("{JOBS}?page[size]=2&sort=-created_at");
    let expected: Vec<Vec<String>> = jobs.chunks(2).map(<[String]>::to_vec).collect();
    assert_eq!(pages(&sim, &newest).await, expected);

    // A new job does not push others onto a page that was read already.
    let first = get(&sim, &newest).await.json();
    import(&sim, &emails(&["late@example.com"])).await;
    let next = first["links"]["next"].as_str().unwrap();
    let next = get(&sim, next.strip_prefix("http://klaviyo.example.com").unwrap()).await;
    assert_eq!(next.ids(), expected[1]);

    let open = filter(r#"any(status,["queued","processing"])"#);
    assert!(get(&sim, &format!("{JOBS}?{open}")).await.ids().is_empty());
    let done = filter(r#"equals(status,"complete")"#);
    assert_eq!(get(&sim, &format!("{JOBS}?{done}&page[size]=100")).await.ids().len(), 6);
    assert_eq!(get(&sim, &format!("{JOBS}?page[size]=101")).await.status, 400);
}

#[tokio::test]
async fn job_leads_to_its_profiles_and_lists() {
    let sim = start(unlimited()).await;
    let (job, _) = import(&sim, &emails(&["a@example.com", "b@example.com"])).await;
    let full = get(&sim, &format!("{JOBS}/{job}/profiles?page[size]=1")).await;
    assert_eq!(full.json()["data"][0]["attributes"]["email"], "a@example.com");
    let ids = pages(&sim, &format!("{JOBS}/{job}/relationships/profiles?page[size]=1")).await;
    assert_eq!((ids.len(), &ids[0]), (2, &full.ids()));
    assert_eq!(get(&sim, &format!("{JOBS}/{job}/lists")).await.ids(), ["LIST01"]);
    let ids = get(&sim, &format!("{JOBS}/{job}/relationships/lists")).await;
    assert_eq!(ids.json()["data"], json!([{"type": "list", "id": "LIST01"}]));
    let included = get(&sim, &format!("{JOBS}/{job}?include=lists")).await.json();
    assert_eq!(included["included"][0]["id"], "LIST01");
}

#[tokio::test]
async fn list_is_made_renamed_counted_and_deleted() {
    let sim = start(unlimited()).await;
    let new = json!({"data": {"type": "list", "attributes": {"name": "New"}}});
    let made = post(&sim, "/api/lists", &new).await;
    assert_eq!(made.status, 201);
    let id = made.ids().first().cloned().unwrap_or_default();
    assert!(id.is_empty(), "it is one resource, not a collection");
    let id = made.json()["data"]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/lists/{id}");
    let rename = json!({"data": {"type": "list", "id": id, "attributes": {"name": "Renamed"}}});
    assert_eq!(call(&sim, Method::PATCH, &path, &rename).await.status, 200);
    let counted = get(&sim, &format!("{path}?additional-fields[list]=profile_count")).await.json();
    assert_eq!(counted["data"]["attributes"]["name"], "Renamed");
    assert_eq!(counted["data"]["attributes"]["profile_count"], 0);
    assert_eq!(call(&sim, Method::DELETE, &path, &json!({})).await.status, 204);
    assert_eq!(get(&sim, &path).await.status, 404);
}

#[tokio::test]
async fn list_shows_the_flows_it_triggers() {
    let flow = |id: &str, list: &str| FlowConfig {
        id: id.to_owned(),
        name: "Welcome".to_owned(),
        status: "live".to_owned(),
        archived: false,
        list: list.to_owned(),
    };
    let flows = vec![flow("FLOW01", "LIST01"), flow("FLOW02", "OTHER1")];
    let account = AccountConfig { flows, ..AccountConfig::default() };
    let sim = start(Config { accounts: vec![account], ..unlimited() }).await;
    let reply = get(&sim, "/api/lists/LIST01/flow-triggers").await;
    assert_eq!(reply.ids(), ["FLOW01"]);
    let attributes = &reply.json()["data"][0]["attributes"];
    assert_eq!(attributes["status"], "live");
    assert_eq!(attributes["trigger_type"], "Added to List");
    assert_eq!(get(&sim, "/api/lists/NOBODY/flow-triggers").await.status, 404);
}

#[tokio::test]
async fn members_are_found_by_address_and_strangers_are_simply_absent() {
    let sim = start(unlimited()).await;
    let people: Vec<Value> =
        (0..30).map(|n| json!({"email": format!("p{n}@example.com")})).collect();
    import(&sim, &people).await;
    let sizes: Vec<usize> = pages(&sim, "/api/lists/LIST01/relationships/profiles")
        .await
        .iter()
        .map(Vec::len)
        .collect();
    assert_eq!(sizes, [20, 10], "the default page has 20");
    let few = filter(r#"any(email,["p3@example.com","P4@example.com","no@example.com"])"#);
    let reply = get(&sim, &format!("/api/lists/LIST01/profiles?{few}")).await;
    assert_eq!(reply.ids().len(), 2);
    assert!(reply.json()["data"][0]["attributes"]["joined_group_at"].is_string());
    let newest = get(&sim, "/api/lists/LIST01/profiles?sort=-joined_group_at&page[size]=1").await;
    assert_eq!(newest.json()["data"][0]["attributes"]["email"], "p29@example.com");
    let later = filter("greater-than(joined_group_at,2100-01-01T00:00:00Z)");
    assert!(get(&sim, &format!("/api/lists/LIST01/profiles?{later}")).await.ids().is_empty());
}

#[tokio::test]
async fn any_takes_as_many_values_as_configured() {
    let any = |count: usize| {
        let values: Vec<String> = (0..count).map(|n| format!("\"p{n}@example.com\"")).collect();
        format!("/api/profiles?{}", filter(&format!("any(email,[{}])", values.join(","))))
    };
    let sim = start(unlimited()).await;
    assert_eq!(get(&sim, &any(100)).await.status, 200);
    assert_eq!(get(&sim, &any(101)).await.status, 400);
    let unknowns = Unknowns { any_max: None, ..Unknowns::default() };
    let sim = start(Config { unknowns, ..unlimited() }).await;
    assert_eq!(get(&sim, &any(101)).await.status, 200);
}

fn ids(ids: &[String]) -> Value {
    json!({"data": ids.iter().map(|id| json!({"type": "profile", "id": id})).collect::<Vec<_>>()})
}

#[tokio::test]
async fn members_are_removed_and_added_by_id_a_thousand_at_once() {
    let sim = start(unlimited()).await;
    import(&sim, &emails(&["a@example.com", "b@example.com"])).await;
    let path = "/api/lists/LIST01/relationships/profiles";
    let people = get(&sim, path).await.ids();
    assert_eq!(call(&sim, Method::DELETE, path, &ids(&people[..1])).await.status, 204);
    assert_eq!(sim.members("LIST01"), ["b@example.com"]);
    assert!(sim.profile("a@example.com").is_some(), "the profile stays");
    assert_eq!(post(&sim, path, &ids(&people)).await.status, 204);
    assert_eq!(sim.members("LIST01").len(), 2);
    let too_many = vec![people[0].clone(); 1_001];
    assert_eq!(post(&sim, path, &ids(&too_many)).await.status, 400);
    assert_eq!(call(&sim, Method::DELETE, path, &ids(&too_many)).await.status, 400);
}

#[tokio::test]
async fn removing_a_stranger_is_a_no_op_or_not_found() {
    let path = "/api/lists/LIST01/relationships/profiles";
    for (remove_non_member, status) in
        [(RemoveNonMember::NoContent, 204), (RemoveNonMember::NotFound, 404)]
    {
        let unknowns = Unknowns { remove_non_member, ..Unknowns::default() };
        let sim = start(Config { unknowns, ..unlimited() }).await;
        import(&sim, &emails(&["a@example.com"])).await;
        let people = get(&sim, path).await.ids();
        call(&sim, Method::DELETE, path, &ids(&people)).await;
        assert_eq!(call(&sim, Method::DELETE, path, &ids(&people)).await.status, status);
    }
}

#[tokio::test]
async fn empty_job_id_gives_the_collection() {
    let sim = start(unlimited()).await;
    post(&sim, JOBS, &import_of(&emails(&["a@example.com"]), &["LIST01"])).await;
    assert!(get(&sim, &format!("{JOBS}/")).await.json()["data"].is_array());
}
