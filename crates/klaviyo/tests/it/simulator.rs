//! The client against the simulated Klaviyo, with both answers to what no document says.

use std::collections::BTreeSet;

use klaviyo_sim::{
    AccountConfig, Completion, Endpoint, ErrorBody, Faults, FlowConfig, KeyConfig, LastPage,
    ListConfig, Megabyte, RetiredRevision, RetryAfter, Simulator, Trigger, UnknownListPointer,
    Unknowns,
};
use segue_klaviyo::{
    ApiKey, CallError, Client, Config, Flow, ImportBody, ImportError, JobStatus, ListId, Page,
    RateLimit, RateWindow, Reply, RevisionState, Unguarded, import,
};

struct Stand {
    sim: Simulator,
    client: Client,
    key: ApiKey,
    list: ListId,
}

impl Stand {
    async fn start(config: klaviyo_sim::Config) -> Self {
        let sim = Simulator::start(config).await.unwrap();
        let client = Client::new(&Config::for_base_url(sim.url().parse().unwrap())).unwrap();
        Self { sim, client, key: "pk_sim".into(), list: "LIST01".parse().unwrap() }
    }

    async fn with(unknowns: Unknowns) -> Self {
        Self::start(klaviyo_sim::Config { unknowns, ..no_limits() }).await
    }

    async fn import(
        &self,
        emails: &[String],
    ) -> Result<Reply<segue_klaviyo::ImportJob>, CallError> {
        self.client.import(&self.key, body(&self.list, emails), Unguarded).await
    }
}

/// Jobs are complete when they are first looked at, and nothing is paced: both are tested elsewhere.
fn no_limits() -> klaviyo_sim::Config {
    klaviyo_sim::Config {
        no_limits: true,
        completion: Completion::Immediate,
        ..klaviyo_sim::Config::default()
    }
}

fn body(list: &ListId, emails: &[String]) -> ImportBody {
    let mut out = Vec::new();
    import::begin(&mut out, list);
    for (row, email) in emails.iter().enumerate() {
        if row > 0 {
            out.push(import::SEPARATOR);
        }
        let profile = serde_json::json!({"type": "profile", "attributes": {"email": email}});
        out.extend(profile.to_string().bytes());
    }
    import::end(&mut out);
    bytes::Bytes::from(out).into()
}

fn emails(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{prefix}{n}@example.com")).collect()
}

/// A body of one profile, padded to so many bytes.
fn body_of(list: &ListId, bytes: usize) -> ImportBody {
    let bare = body(list, &emails("ann", 1)).bytes;
    let mut out = bare[..bare.len() - import::END_BYTES].to_vec();
    out.resize(bytes - import::END_BYTES, b' ');
    import::end(&mut out);
    bytes::Bytes::from(out).into()
}

#[tokio::test]
async fn accepted_batch_is_confirmed_and_its_errors_name_the_profiles() {
    for last_page in [LastPage::Absent, LastPage::Null] {
        let stand = Stand::with(Unknowns { last_page, ..Unknowns::default() }).await;
        let (good, bad) = (emails("ann", 120), emails("importfail", 130));
        let job = stand.import(&[&good[..], &bad[..]].concat()).await.unwrap().value;
        assert_eq!(job.total_count, Some(250));

        let Stand { sim, client, key, list } = &stand;
        let seen = client.import_job(key, &job.id).await.unwrap().value;
        assert_eq!(seen.status, JobStatus::Complete);
        assert_eq!((seen.completed_count, seen.failed_count), (Some(120), Some(130)));
        let newest = client.import_jobs_page(key, None).await.unwrap().value;
        assert_eq!(newest.items, [seen]);

        let first = client.import_errors_page(key, &job.id, None).await.unwrap().value;
        let rest =
            client.import_errors_page(key, &job.id, first.next.as_ref()).await.unwrap().value;
        assert_eq!((first.items.len(), rest.items.len(), rest.next), (100, 30, None));
        let address = |error: &ImportError| error.identifiers.email.clone().unwrap().into_exposed();
        let failed: BTreeSet<_> = first.items.iter().chain(&rest.items).map(address).collect();
        assert_eq!(failed, bad.into_iter().collect());
        assert_eq!(sim.members(list.as_str()), good);
    }
}

#[tokio::test]
async fn refused_rows_are_named_by_their_index_however_many_one_answer_names() {
    for named_rows in [None, Some(1)] {
        let stand = Stand::with(Unknowns { named_rows, ..Unknowns::default() }).await;
        let mut rows = emails("ann", 5);
        rows.insert(1, "refuse-1@example.com".to_owned());
        rows.insert(6, "refuse-6@example.com".to_owned());
        let mut rounds = 0;
        while let Err(err) = stand.import(&rows).await {
            let CallError::Refused(refusal) = err else { panic!("{err}") };
            let named: Vec<_> = refusal.refused_rows().rows.into_keys().collect();
            assert_eq!(named.len(), named_rows.unwrap_or(2));
            for row in named.into_iter().rev() {
                assert!(rows.remove(row).starts_with("refuse"), "row {row} is innocent");
            }
            rounds += 1;
        }
        assert_eq!(rounds, if named_rows.is_some() { 2 } else { 1 });
        assert_eq!(stand.sim.members("LIST01"), rows);
    }
}

#[tokio::test]
async fn deleted_list_is_never_taken_for_bad_rows() {
    for pointer in [UnknownListPointer::ListId, UnknownListPointer::Data] {
        let unknowns = Unknowns { unknown_list_pointer: pointer, ..Unknowns::default() };
        let stand = Stand::with(unknowns).await;
        assert!(stand.sim.delete_list("LIST01"));
        let err = stand.import(&emails("ann", 3)).await.unwrap_err();
        let CallError::Refused(refusal) = err else { panic!("{err}") };
        let refused = refusal.refused_rows();
        assert!(refused.rows.is_empty() && !refused.at_profiles(), "{refused:?}");
        assert_eq!(refused.list.len() + refused.other.len(), 1);
        let err = stand.client.list(&stand.key, &stand.list).await.unwrap_err();
        assert!(matches!(err, CallError::NotFound), "{err}");
    }
}

#[tokio::test]
async fn missing_scope_is_told_from_a_robot_trap_only_if_the_api_says_it() {
    for (forbidden_body, code) in
        [(ErrorBody::JsonApi, "forbidden"), (ErrorBody::Html, "challenged")]
    {
        let keys = vec![KeyConfig::with_scopes("pk_sim", &["lists:read"])];
        let stand = Stand::start(klaviyo_sim::Config {
            accounts: vec![AccountConfig { keys, ..AccountConfig::default() }],
            unknowns: Unknowns { forbidden_body, ..Unknowns::default() },
            ..no_limits()
        })
        .await;
        assert_eq!(stand.import(&emails("ann", 1)).await.unwrap_err().code(), code);
        let flows = stand.client.flow_triggers_page(&stand.key, &stand.list, None).await;
        assert_eq!(flows.unwrap_err().code(), code);
        stand.client.list(&stand.key, &stand.list).await.unwrap();
    }
}

#[tokio::test]
async fn body_over_the_limit_is_too_large_and_a_full_batch_never_is() {
    for megabyte in [Megabyte::Decimal, Megabyte::Binary] {
        for too_large_body in [ErrorBody::JsonApi, ErrorBody::Html] {
            let unknowns = Unknowns { megabyte, too_large_body, ..Unknowns::default() };
            let stand = Stand::with(unknowns).await;
            let send =
                |bytes| stand.client.import(&stand.key, body_of(&stand.list, bytes), Unguarded);
            send(segue_model::MAX_BATCH_BYTES).await.unwrap();
            send(megabyte.body_limit()).await.unwrap();
            let err = send(megabyte.body_limit() + 1).await.unwrap_err();
            assert!(matches!(err, CallError::TooLarge), "{err}");
        }
    }
}

#[tokio::test]
async fn retired_revision_is_an_error_or_shows_in_the_answer() {
    for retired_revision in [RetiredRevision::Gone, RetiredRevision::FallsForward] {
        let Stand { sim, key, list, client: current } =
            Stand::with(Unknowns { retired_revision, ..Unknowns::default() }).await;
        let base = sim.url().parse().unwrap();
        let old = Config { revision: "2023-07-15".to_owned(), ..Config::for_base_url(base) };
        let result = Client::new(&old).unwrap().list(&key, &list).await;
        match retired_revision {
            RetiredRevision::Gone => {
                assert!(matches!(result, Err(CallError::RevisionRetired)), "{result:?}");
            }
            RetiredRevision::FallsForward => {
                let meta = result.unwrap().meta;
                assert!(meta.fell_back());
                // Long before the end of the revision that has answered.
                let state = meta.revision_state(segue_model::Micros(1_690_000_000_000_000));
                assert_eq!((state, meta.retires()), (Some(RevisionState::Retired), None));
            }
        }
        let meta = current.list(&key, &list).await.unwrap().meta;
        assert!(!meta.fell_back() && meta.retirement_date.is_some());
    }
}

#[tokio::test]
async fn profiles_are_found_by_address_or_the_filter_is_refused_as_too_long() {
    for any_max in [None, Some(100), Some(45)] {
        let stand = Stand::with(Unknowns { any_max, ..Unknowns::default() }).await;
        let known = emails("ann+", 60);
        stand.import(&known).await.unwrap();
        let mut wanted = known.clone();
        wanted.extend(emails("nobody", 40));
        let wanted: Vec<_> = wanted.iter().map(String::as_str).collect();
        let result = stand.client.profiles_by_email(&stand.key, &wanted).await;
        if any_max == Some(45) {
            let err = result.unwrap_err();
            assert!(matches!(err, CallError::Refused(_)), "{err}");
            continue;
        }
        let Page { items, next } = result.unwrap().value;
        let found: BTreeSet<_> =
            items.into_iter().map(|profile| profile.email.unwrap().into_exposed()).collect();
        assert_eq!(found, known.into_iter().collect());
        assert_eq!(next, None);
    }
}

#[tokio::test]
async fn lists_are_walked_found_by_name_and_made() {
    let lists = (0..23).map(|n| ListConfig::new(format!("LIST{n:02}"), format!("List \"{n}\"")));
    let account = AccountConfig { lists: lists.collect(), ..AccountConfig::default() };
    let config = klaviyo_sim::Config { accounts: vec![account], ..no_limits() };
    let Stand { client, key, sim: _sim, .. } = Stand::start(config).await;

    let (mut sizes, mut cursor) = (Vec::new(), None);
    loop {
        let page = client.lists_page(&key, cursor.as_ref(), None).await.unwrap().value;
        sizes.push(page.items.len());
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(sizes, [10, 10, 3]);

    let named = client.lists_page(&key, None, Some("List \"7\"")).await.unwrap().value;
    assert_eq!(named.items.iter().map(|list| list.id.as_str()).collect::<Vec<_>>(), ["LIST07"]);

    let made = client.create_list(&key, "Käufer & Co").await.unwrap().value;
    let seen = client.list(&key, &made.id).await.unwrap().value;
    assert_eq!(seen.name.as_deref(), Some("Käufer & Co"));
    assert!(seen.created_at().unwrap().0 > 0, "{seen:?}");
}

#[tokio::test]
async fn lists_go_by_name_from_any_place_in_pages_of_any_size() {
    let names = ["b", "a", "d", "c", "e"];
    let lists =
        names.iter().enumerate().map(|(n, name)| ListConfig::new(format!("LIST{n:02}"), *name));
    let account = AccountConfig { lists: lists.collect(), ..AccountConfig::default() };
    let config = klaviyo_sim::Config { accounts: vec![account], ..no_limits() };
    let Stand { client, key, sim: _sim, .. } = Stand::start(config).await;
    for (size, sizes) in [(0, vec![1; 5]), (2, vec![2, 2, 1]), (5, vec![5]), (99, vec![5])] {
        let (mut seen, mut pages, mut from) = (Vec::new(), Vec::new(), None);
        loop {
            let page = client.lists_from(&key, None, from.as_ref(), size).await.unwrap().value;
            pages.push(page.lists.len());
            seen.extend(page.lists.into_iter().filter_map(|list| list.name));
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        assert_eq!((pages, seen.join("")), (sizes, "abcde".to_owned()));
    }
    let found = client.lists_from(&key, Some("d"), None, 10).await.unwrap().value;
    assert_eq!(found.lists.iter().map(|list| list.id.as_str()).collect::<Vec<_>>(), ["LIST02"]);
    assert_eq!(found.next, None);
}

#[tokio::test]
async fn place_in_the_lists_is_the_value_of_one_parameter_whatever_it_says() {
    let Stand { client, key, sim, .. } = Stand::start(no_limits()).await;
    for place in ["x&page[size]=9#", "http://example.com/", "../profiles", "%2e%2e"] {
        let place = place.parse().unwrap();
        let err = client.lists_from(&key, None, Some(&place), 10).await.unwrap_err();
        assert!(matches!(err, CallError::Refused(_)), "{err}");
    }
    let asked = sim.requests();
    assert_eq!(asked.len(), 4);
    assert!(asked.iter().all(|request| request.endpoint == Some(Endpoint::Lists)), "{asked:?}");
}

#[tokio::test]
async fn answers_tell_how_long_the_revision_lives_and_what_is_left_of_the_limits() {
    let Stand { client, key, sim: _sim, .. } = Stand::start(klaviyo_sim::Config::default()).await;
    let meta = client.account(&key).await.unwrap().meta;
    let now = |day: &str| {
        let at: jiff::Timestamp = format!("{day}T12:00:00Z").parse().unwrap();
        segue_model::Micros(at.as_microsecond())
    };
    assert_eq!(meta.revision_state(now("2026-11-27")), Some(RevisionState::Stable));
    assert_eq!(meta.revision_state(now("2027-11-27")), Some(RevisionState::Deprecated));
    assert_eq!(meta.revision_state(now("2028-11-27")), Some(RevisionState::Retired));
    let retires = meta.retires().unwrap();
    assert_eq!(retires.rfc3339(), "2028-07-15T00:00:00.000Z");
    let left = RateLimit { window: RateWindow::Burst, limit: 1, remaining: 0 };
    assert_eq!(meta.rate_limit, Some(left));
}

#[tokio::test]
async fn flows_that_a_list_starts_are_told_with_their_state() {
    let flow = |id: &str, status: &str, archived| FlowConfig {
        id: id.to_owned(),
        name: "Welcome".to_owned(),
        status: status.to_owned(),
        archived,
        list: "LIST01".to_owned(),
    };
    let flows = vec![flow("FLOWAA", "live", false), flow("FLOWBB", "draft", false)];
    let account = AccountConfig { flows, ..AccountConfig::default() };
    let config = klaviyo_sim::Config { accounts: vec![account], ..no_limits() };
    let Stand { client, key, list, sim: _sim } = Stand::start(config).await;
    let page = client.flow_triggers_page(&key, &list, None).await.unwrap().value;
    let live: Vec<_> =
        page.items.iter().filter(|flow| flow.is_live()).map(|flow: &Flow| &*flow.id).collect();
    assert_eq!((page.items.len(), live), (2, vec!["FLOWAA"]));
}

#[tokio::test]
async fn key_is_known_by_its_account_even_after_it_moved() {
    let other = AccountConfig {
        id: "OTHERA".to_owned(),
        keys: vec![KeyConfig::all_scopes("pk_other")],
        lists: Vec::new(),
        ..AccountConfig::default()
    };
    let accounts = vec![AccountConfig::default(), other];
    let Stand { sim, client, key, .. } =
        Stand::start(klaviyo_sim::Config { accounts, ..no_limits() }).await;
    let reply = client.account(&key).await.unwrap();
    assert_eq!(reply.value.id, "SIMULA");
    assert_eq!(reply.value.name.as_deref(), Some("Simulated account"));
    assert_eq!(reply.meta.account_id.as_deref(), Some("SIMULA"));

    let moved_keys = [("pk_sim".to_owned(), "OTHERA".to_owned())].into();
    sim.set_faults(Faults { moved_keys, ..Faults::default() });
    assert_eq!(client.account(&key).await.unwrap().meta.account_id.as_deref(), Some("OTHERA"));

    let revoked_keys = ["pk_sim".to_owned()].into();
    sim.set_faults(Faults { revoked_keys, ..Faults::default() });
    let err = client.account(&key).await.unwrap_err();
    assert!(matches!(err, CallError::Unauthorized(_)), "{err}");
}

#[tokio::test]
async fn each_fault_of_the_network_becomes_its_error_and_tells_what_was_applied() {
    let once = || Trigger::next(1).at(Endpoint::Import);
    let cases = [
        (Faults { challenge: once(), ..Faults::default() }, "challenged", false),
        (Faults { unavailable: once(), ..Faults::default() }, "unavailable", false),
        (Faults { throttle: once(), ..Faults::default() }, "throttled", false),
        (Faults { reset: once(), ..Faults::default() }, "not_sent", false),
        (Faults { drop: once(), ..Faults::default() }, "ambiguous", true),
        (Faults { truncate: once(), ..Faults::default() }, "ambiguous", true),
    ];
    for (faults, code, applied) in cases {
        let stand = Stand::start(no_limits()).await;
        stand.sim.set_faults(faults);
        let full = body_of(&stand.list, segue_model::MAX_BATCH_BYTES);
        let err = stand.client.import(&stand.key, full, Unguarded).await.unwrap_err();
        assert_eq!((err.code(), err.may_have_been_applied()), (code, applied), "{err:?}");
        let jobs = stand.client.import_jobs_page(&stand.key, None).await.unwrap().value;
        assert_eq!(jobs.items.len(), usize::from(applied), "{code}");
    }
}

#[tokio::test]
async fn throttled_call_tells_the_wait_only_if_it_makes_sense() {
    let text = |text: &str| RetryAfter::Text(text.to_owned());
    let cases = [
        (RetryAfter::OneSecond, Some(1)),
        (text("0"), None),
        (text("-5"), None),
        (text("99999999999"), None),
        (text("Tue, 24 Nov 2026 23:00:00 GMT"), None),
    ];
    for (retry_after, seconds) in cases {
        let stand = Stand::start(no_limits()).await;
        let throttle = Trigger::next(1);
        stand.sim.set_faults(Faults { throttle, retry_after, ..Faults::default() });
        let err = stand.client.list(&stand.key, &stand.list).await.unwrap_err();
        let CallError::Throttled { retry_after } = err else { panic!("{err}") };
        assert_eq!(retry_after.map(|wait| wait.as_secs()), seconds);
    }
}
