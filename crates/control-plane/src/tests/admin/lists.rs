//! The lists of Klaviyo accounts: seen, picked and made.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use klaviyo_sim::{AccountConfig, Endpoint, Faults, FlowConfig, KeyConfig, ListConfig, Trigger};
use segue_access::Role;
use segue_proto::v1::{self, OptInProcess, list_service_client::ListServiceClient};
use segue_store::{
    test_util::Engine,
    write::new_lists::{self, NewList},
};
use tonic::{Code, Status, transport::Channel};

use super::{KEY, OTHER_KEY, World, field_names, fields, missing, obstacles, refused};

segue_store::on_both_engines! {
    list_is_made_once_for_each_request,
    list_whose_answer_was_lost_is_found_and_not_made_again,
    request_of_a_process_that_died_goes_on_where_it_was,
    request_that_klaviyo_never_saw_is_made_when_it_is_repeated,
}

impl World {
    pub(super) fn lists(&self) -> ListServiceClient<Channel> {
        ListServiceClient::new(self.channel.clone())
    }

    /// An account with so many lists, `List 000` and on, over a connection.
    async fn with_lists(count: usize) -> (Self, String) {
        let list = |n| ListConfig::new(format!("L{n:05}"), format!("List {n:03}"));
        let lists = (0..count).map(list).collect();
        Self::connected(AccountConfig { lists, ..AccountConfig::default() }).await
    }

    async fn connected(account: AccountConfig) -> (Self, String) {
        let world = Self::with(Engine::Sqlite, account).await;
        let connection = world.connection().await.id;
        (world, connection)
    }

    async fn page(&self, request: &v1::ListListsRequest) -> Result<v1::ListListsResponse, Status> {
        // Places in the lanes become free with the clock.
        self.clock.advance(Duration::from_mins(1));
        Ok(self.lists().list_lists(request.clone()).await?.into_inner())
    }

    /// The names on each page, to the last.
    async fn pages(&self, mut request: v1::ListListsRequest) -> Vec<Vec<String>> {
        let mut pages = Vec::new();
        loop {
            let page = self.page(&request).await.unwrap();
            pages.push(page.lists.into_iter().map(|list| list.name).collect());
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                return pages;
            }
        }
    }

    async fn get_list(&self, connection: &str, list: &str) -> Result<v1::GetListResponse, Status> {
        let (connection_id, list_id) = (connection.to_owned(), list.to_owned());
        let request = v1::GetListRequest { connection_id, list_id };
        Ok(self.lists().get_list(request).await?.into_inner())
    }

    async fn create_list(
        &self,
        connection: &str,
        name: &str,
        request_id: &str,
    ) -> Result<v1::List, Status> {
        self.clock.advance(Duration::from_mins(1));
        let (connection_id, name) = (connection.to_owned(), name.to_owned());
        let request_id = request_id.to_owned();
        let request = v1::CreateListRequest { connection_id, name, request_id };
        Ok(self.lists().create_list(request).await?.into_inner().list.unwrap())
    }

    fn lists_made(&self) -> usize {
        let made = |it: &klaviyo_sim::LoggedRequest| it.endpoint == Some(Endpoint::CreateList);
        self.sim.requests().into_iter().filter(made).count()
    }
}

fn all_of(connection: &str) -> v1::ListListsRequest {
    v1::ListListsRequest { connection_id: connection.to_owned(), ..v1::ListListsRequest::default() }
}

fn flow(id: &str, status: &str) -> FlowConfig {
    FlowConfig {
        id: id.to_owned(),
        name: format!("Flow {id}"),
        status: status.to_owned(),
        archived: false,
        list: "LIST01".to_owned(),
    }
}

#[tokio::test]
async fn every_list_is_on_one_page_however_long_the_pages_are() {
    let (world, connection) = World::with_lists(47).await;
    let names: Vec<String> = (0..47).map(|n| format!("List {n:03}")).collect();
    for (page_size, sizes) in [
        (0, vec![47]),
        (20, vec![20, 20, 7]),
        (25, vec![20, 20, 7]),
        (7, vec![7, 7, 7, 7, 7, 7, 5]),
        (1000, vec![47]),
    ] {
        let pages = world.pages(v1::ListListsRequest { page_size, ..all_of(&connection) }).await;
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), sizes, "{page_size}");
        assert_eq!(pages.concat(), names);
    }
}

#[tokio::test]
async fn lists_are_found_by_a_part_of_their_name_on_all_pages() {
    let (world, connection) = World::with_lists(120).await;
    let with =
        |part: &str| v1::ListListsRequest { name_contains: part.to_owned(), ..all_of(&connection) };
    assert_eq!(world.pages(with("LIST 11")).await.concat().len(), 10);
    assert_eq!(world.pages(with("119")).await.concat(), ["List 119"]);
    assert!(world.pages(with("newsletter")).await.concat().is_empty());
    let small = v1::ListListsRequest { page_size: 2, ..with("11") };
    let pages = world.pages(small).await;
    assert!(pages.iter().all(|page| page.len() <= 2), "{pages:?}");
    assert_eq!(pages.concat().len(), 11);
    // By its whole name Klaviyo finds it at once.
    let before = world.sim.requests().len();
    let named = v1::ListListsRequest { name: "List 042".to_owned(), ..all_of(&connection) };
    assert_eq!(world.pages(named).await.concat(), ["List 042"]);
    assert_eq!(world.sim.requests().len(), before + 1);
}

#[tokio::test]
async fn page_token_leads_nowhere_else() {
    let (world, connection) = World::with_lists(30).await;
    let other = world.create_connection(super::connection(OTHER_KEY), "").await.unwrap().id;
    let ten = v1::ListListsRequest { page_size: 10, ..all_of(&connection) };
    let page_token = world.page(&ten).await.unwrap().next_page_token;
    let text = String::from_utf8(BASE64.decode(&page_token).unwrap()).unwrap();
    assert!(!text.contains("http") && !text.contains('/'), "{text}");
    for (connection, page_token) in [
        (&other, page_token),
        (&connection, "http://example.com/api/lists".to_owned()),
        (&connection, "x".repeat(5000)),
    ] {
        let request = v1::ListListsRequest { page_token, ..all_of(connection) };
        assert_eq!(field_names(world.page(&request).await), ["page_token"]);
    }
    // Whatever a forged one says is the value of one parameter.
    let page_token = BASE64.encode(format!("1 {connection} ../profiles?x=1"));
    let before = world.sim.requests().len();
    let request = v1::ListListsRequest { page_token, ..all_of(&connection) };
    let found = fields(world.page(&request).await);
    assert!(found[0].0 == "page_token" && found[0].1.contains("begin again"), "{found:?}");
    let asked = world.sim.requests().split_off(before);
    assert!(asked.iter().all(|it| it.endpoint == Some(Endpoint::Lists)), "{asked:?}");
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_named() {
    let (world, connection) = World::with_lists(1).await;
    let request = v1::ListListsRequest {
        page_size: -1,
        name_contains: "\n".to_owned(),
        name: "x".repeat(1001),
        page_token: "!".to_owned(),
        ..all_of(&connection)
    };
    let names = ["name_contains", "name", "page_size", "page_token"];
    assert_eq!(field_names(world.page(&request).await), names);
    assert_eq!(field_names(world.page(&all_of("")).await), ["connection_id"]);
    assert_eq!(field_names(world.get_list(&connection, "a b").await), ["list_id"]);
    assert_eq!(field_names(world.create_list(&connection, " ", "r").await), ["name"]);
    assert_eq!(field_names(world.create_list(&connection, "A", "").await), ["request_id"]);
    let nobody = "con_00000000-0000-0000-0000-000000000001";
    assert_eq!(missing(world.get_list(nobody, "LIST01").await, Code::NotFound).1, nobody);
    let resource = ("segue.v1.List".to_owned(), "NOLIST".to_owned());
    assert_eq!(missing(world.get_list(&connection, "NOLIST").await, Code::NotFound), resource);
}

#[tokio::test]
async fn list_is_shown_with_the_flows_that_are_live() {
    let flows = vec![flow("FLOW01", "live"), flow("FLOW02", "draft"), flow("FLOW03", "live")];
    let (world, connection) =
        World::connected(AccountConfig { flows, ..AccountConfig::default() }).await;
    let found = world.get_list(&connection, "LIST01").await.unwrap();
    let list = found.list.unwrap();
    assert_eq!((list.name.as_str(), list.opt_in_process()), ("Segue demo", OptInProcess::Double));
    assert!(list.created_at.unwrap().seconds > 0);
    assert!(found.flows_known);
    let live: Vec<&str> = found.live_flows.iter().map(|flow| flow.id.as_str()).collect();
    assert_eq!(live, ["FLOW01", "FLOW03"]);

    let keys = vec![KeyConfig::with_scopes(KEY, &["accounts:read", "lists:read"])];
    let account =
        AccountConfig { keys, flows: vec![flow("FLOW01", "live")], ..AccountConfig::default() };
    let (world, connection) = World::connected(account).await;
    let found = world.get_list(&connection, "LIST01").await.unwrap();
    assert!(!found.flows_known && found.live_flows.is_empty());
}

async fn list_is_made_once_for_each_request(engine: Engine) {
    let world = World::on(engine).await;
    let connection = world.connection().await.id;
    let made = world.create_list(&connection, "Käufer & Co", "once").await.unwrap();
    assert_eq!(made.name, "Käufer & Co");
    assert_eq!(world.create_list(&connection, "Käufer & Co", "once").await.unwrap(), made);
    assert_eq!(world.lists_made(), 1);
    let other = world.create_list(&connection, "Others", "once").await;
    assert_eq!(missing(other, Code::AlreadyExists), ("segue.v1.List".to_owned(), made.id.clone()));
    // Another request for the same name would make a list that nobody could tell from the first.
    let again = obstacles(world.create_list(&connection, "Käufer & Co", "twice").await);
    assert_eq!(again, [("LIST_EXISTS".to_owned(), made.id.clone())]);
    assert_eq!(world.lists_made(), 1);
    // It is gone, and was asked for only once.
    assert!(world.sim.delete_list(&made.id));
    let gone = world.create_list(&connection, "Käufer & Co", "once").await;
    assert_eq!(missing(gone, Code::NotFound).1, made.id);
    let anew = world.create_list(&connection, "Käufer & Co", "twice").await.unwrap();
    assert_ne!(anew.id, made.id);
}

async fn list_whose_answer_was_lost_is_found_and_not_made_again(engine: Engine) {
    let world = World::on(engine).await;
    let connection = world.connection().await.id;
    let drop = Trigger::next(1).at(Endpoint::CreateList);
    world.sim.set_faults(Faults { drop, ..Faults::default() });
    let made = world.create_list(&connection, "Newsletter", "lost").await.unwrap();
    assert_eq!(world.lists_made(), 1);
    assert_eq!(world.create_list(&connection, "Newsletter", "lost").await.unwrap(), made);
    assert_eq!(world.lists_made(), 1);
}

/// A request whose process died, as far as it had come.
async fn left_behind(world: &World, connection: &str, name: &str, asked: bool) {
    let (request_id, name) = (name.to_owned(), name.to_owned());
    let connection = connection.parse().unwrap();
    let mut tx = world.cp.store().begin().await.unwrap();
    let new = NewList { request_id, connection, name };
    new_lists::hold(&mut tx, &new, Duration::from_secs(90)).await.unwrap();
    if asked {
        new_lists::ask(&mut tx, &new.request_id).await.unwrap();
    }
    tx.commit().await.unwrap();
}

async fn request_of_a_process_that_died_goes_on_where_it_was(engine: Engine) {
    let world = World::on(engine).await;
    let connection = world.connection().await.id;
    let url = world.sim.url().parse().unwrap();
    let klaviyo = segue_klaviyo::Client::new(&segue_klaviyo::Config::for_base_url(url)).unwrap();
    for (name, asked) in [("Asked", true), ("Not asked", false)] {
        left_behind(&world, &connection, name, asked).await;
        let made = klaviyo.create_list(&KEY.into(), name).await.unwrap().value;
        let before = world.lists_made();
        // A minute later somebody may still be about it, two minutes later nobody is.
        let early = world.create_list(&connection, name, name).await;
        assert!(refused(early, Code::Unavailable).retry_info().unwrap().retry_delay.is_some());
        let result = world.create_list(&connection, name, name).await;
        if asked {
            assert_eq!(result.unwrap().id, made.id.as_str());
        } else {
            // Whoever has made that list, it was not this request.
            let exists = ("LIST_EXISTS".to_owned(), made.id.to_string());
            assert_eq!(obstacles(result), [exists]);
        }
        assert_eq!(world.lists_made(), before);
    }
    // Nobody finds a list, so it is asked for.
    left_behind(&world, &connection, "Nowhere", true).await;
    world.clock.advance(Duration::from_mins(1));
    let made = world.create_list(&connection, "Nowhere", "Nowhere").await.unwrap();
    assert_eq!(made.name, "Nowhere");
}

async fn request_that_klaviyo_never_saw_is_made_when_it_is_repeated(engine: Engine) {
    let world = World::on(engine).await;
    let connection = world.connection().await.id;
    let fail = Trigger::next(1).at(Endpoint::CreateList);
    world.sim.set_faults(Faults { reset: fail, ..Faults::default() });
    let first = world.create_list(&connection, "Newsletter", "r").await;
    let made = match first {
        // The connection broke before the end of the request, so it was made again at once.
        Ok(made) => made,
        Err(status) => {
            assert_eq!(status.code(), Code::Unavailable, "{status:?}");
            world.create_list(&connection, "Newsletter", "r").await.unwrap()
        }
    };
    let named = v1::ListListsRequest { name: "Newsletter".to_owned(), ..all_of(&connection) };
    assert_eq!(world.pages(named).await.concat(), ["Newsletter"]);
    assert_eq!(world.create_list(&connection, "Newsletter", "r").await.unwrap(), made);
}

#[tokio::test]
async fn key_that_cannot_be_used_says_so_on_each_export() {
    let world = World::new().await;
    let export = world.export().await;
    let revoked_keys = [KEY.to_owned()].into();
    world.sim.set_faults(Faults { revoked_keys, ..Faults::default() });
    let found = obstacles(world.page(&all_of(&export.connection_id)).await);
    assert_eq!(found, [("KEY_REFUSED".to_owned(), export.connection_id)]);
    let problems = world.connection_problems().await;
    assert!(problems[0].contains("does not accept the key"), "{problems:?}");
}

#[tokio::test]
async fn scope_that_is_missing_is_named() {
    let keys = vec![KeyConfig::with_scopes(KEY, &["accounts:read", "lists:read"])];
    let (world, connection) =
        World::connected(AccountConfig { keys, ..AccountConfig::default() }).await;
    let result = world.create_list(&connection, "Newsletter", "r").await;
    let words = result.as_ref().unwrap_err().message().to_owned();
    assert!(words.contains("lists:write"), "{words}");
    assert_eq!(obstacles(result), [("SCOPE_MISSING".to_owned(), connection.clone())]);
    // Klaviyo has refused, so the same request may be for another list.
    assert_eq!(
        obstacles(world.create_list(&connection, "Others", "r").await),
        [("SCOPE_MISSING".to_owned(), connection)]
    );
}

#[tokio::test]
async fn key_that_was_moved_shows_no_list_of_the_other_account() {
    let (world, connection) = World::with_lists(3).await;
    let moved_keys = [(KEY.to_owned(), "OTHERS".to_owned())].into();
    world.sim.set_faults(Faults { moved_keys, ..Faults::default() });
    let blocked = [("ACCOUNT_CHANGED".to_owned(), connection.clone())];
    assert_eq!(obstacles(world.page(&all_of(&connection)).await), blocked);
    assert_eq!(obstacles(world.get_list(&connection, "LIST01").await), blocked);
    assert_eq!(obstacles(world.create_list(&connection, "Newsletter", "r").await), blocked);
    assert_eq!(world.lists_made(), 0);
}

#[tokio::test]
async fn contributor_sees_and_makes_only_what_is_shared() {
    let (world, connection) = World::with_lists(12).await;
    let mut contributor = ListServiceClient::new(world.of(Role::Contributor).await);
    let mut names = async || {
        world.clock.advance(Duration::from_mins(1));
        let page = contributor.list_lists(all_of(&connection)).await?.into_inner();
        Ok::<_, Status>(page.lists.into_iter().map(|list| list.name).collect::<Vec<_>>())
    };
    assert_eq!(missing(names().await, Code::NotFound).1, connection);
    world.share(&connection, &["L00003", "L00011"]).await;
    assert_eq!(names().await.unwrap(), ["List 003", "List 011"]);
    world.share(&connection, &[]).await;
    assert_eq!(names().await.unwrap().len(), 12);

    world.share(&connection, &["L00003"]).await;
    let get = |list_id: &str| v1::GetListRequest {
        connection_id: connection.clone(),
        list_id: list_id.to_owned(),
    };
    contributor.get_list(get("L00003")).await.unwrap();
    refused(contributor.get_list(get("L00004")).await, Code::PermissionDenied);
    let create = || v1::CreateListRequest {
        connection_id: connection.clone(),
        name: "Newsletter".to_owned(),
        request_id: "r".to_owned(),
    };
    refused(contributor.create_list(create()).await, Code::PermissionDenied);
    assert_eq!(world.lists_made(), 0);
    world.share(&connection, &[]).await;
    contributor.create_list(create()).await.unwrap();
    assert_eq!(world.lists_made(), 1);
}
