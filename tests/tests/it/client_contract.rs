//! Every call of the client, held to Klaviyo's published contract.

use std::sync::{Arc, Mutex};

use klaviyo_sim::{
    AccountConfig, Completion, Exchange, FlowConfig, LastPage, ListConfig, Simulator, Unknowns,
};
use segue_klaviyo::{ApiKey, CallError, Client, Config, ImportBody, ListId, Unguarded, import};
use segue_model::Endpoint;

use crate::contract::Contract;

type Seen = Arc<Mutex<Vec<Exchange>>>;

/// An account with more lists than fit on a page, so that links to a next page are followed.
async fn simulator(unknowns: Unknowns) -> (Simulator, Seen) {
    let seen = Seen::default();
    let observed = Arc::clone(&seen);
    let lists = (1..=12).map(|n| ListConfig::new(format!("LIST{n:02}"), format!("List \"{n}\"")));
    let flow = FlowConfig {
        id: "FLOWAA".to_owned(),
        name: "Welcome".to_owned(),
        status: "live".to_owned(),
        archived: false,
        list: "LIST01".to_owned(),
    };
    let account =
        AccountConfig { lists: lists.collect(), flows: vec![flow], ..AccountConfig::default() };
    let config = klaviyo_sim::Config {
        accounts: vec![account],
        no_limits: true,
        completion: Completion::Immediate,
        unknowns,
        observer: Some(Arc::new(move |exchange: &Exchange| {
            observed.lock().unwrap().push(exchange.clone());
        })),
        ..klaviyo_sim::Config::default()
    };
    (Simulator::start(config).await.unwrap(), seen)
}

fn body(list: &ListId, emails: impl Iterator<Item = String>) -> ImportBody {
    let mut out = Vec::new();
    import::begin(&mut out, list);
    let begun = out.len();
    for email in emails {
        if out.len() > begun {
            out.push(import::SEPARATOR);
        }
        let profile = serde_json::json!({"type": "profile", "attributes": {"email": email}});
        out.extend(profile.to_string().bytes());
    }
    import::end(&mut out);
    bytes::Bytes::from(out).into()
}

/// Each call once, and once more for each way in which it can go on or be refused.
async fn make_every_call(client: &Client, key: &ApiKey) {
    let list: ListId = "LIST01".parse().unwrap();
    client.account(key).await.unwrap();
    let first = client.lists_page(key, None, None).await.unwrap().value;
    client.lists_page(key, first.next.as_ref(), None).await.unwrap();
    client.lists_page(key, None, Some("List \"7\"")).await.unwrap();
    let some = client.lists_from(key, None, None, 3).await.unwrap().value;
    client.lists_from(key, None, some.next.as_ref(), 3).await.unwrap();
    client.lists_from(key, Some("List \"7\""), None, 10).await.unwrap();
    client.list(key, &list).await.unwrap();
    client.create_list(key, "Käufer & Co").await.unwrap();
    client.flow_triggers_page(key, &list, None).await.unwrap();

    // Enough failures inside of the job for a second page of them.
    let emails = (0..110).map(|n| format!("importfail{n}@example.com"));
    let emails = emails.chain((0..10).map(|n| format!("ann+{n}@example.com")));
    let job = client.import(key, body(&list, emails), Unguarded).await.unwrap().value;
    client.import_job(key, &job.id).await.unwrap();
    client.import_jobs_page(key, None).await.unwrap();
    let errors = client.import_errors_page(key, &job.id, None).await.unwrap().value;
    client.import_errors_page(key, &job.id, errors.next.as_ref()).await.unwrap();
    let wanted = ["ann+1@example.com", "o\"neill@example.com"];
    client.profiles_by_email(key, &wanted).await.unwrap();

    let refused = body(&list, ["refuse@example.com".to_owned()].into_iter());
    let err = client.import(key, refused, Unguarded).await.unwrap_err();
    assert!(matches!(err, CallError::Refused(_)), "{err}");
    let err = client.list(key, &"NOLIST".parse().unwrap()).await.unwrap_err();
    assert!(matches!(err, CallError::NotFound), "{err}");
    let err = client.account(&"pk_unknown".into()).await.unwrap_err();
    assert!(matches!(err, CallError::Unauthorized(_)), "{err}");
}

#[tokio::test]
async fn every_call_and_every_answer_to_it_keeps_the_contract() {
    let contract = Contract::load();
    for last_page in [LastPage::Absent, LastPage::Null] {
        let (sim, seen) = simulator(Unknowns { last_page, ..Unknowns::default() }).await;
        let client = Client::new(&Config::for_base_url(sim.url().parse().unwrap())).unwrap();
        make_every_call(&client, &"pk_sim".into()).await;

        let seen = seen.lock().unwrap();
        let called = |endpoint: &&Endpoint| {
            let name = endpoint.name();
            seen.iter().any(|exchange| exchange.endpoint.is_some_and(|it| it.name() == name))
        };
        let missed: Vec<_> = Endpoint::ALL.iter().filter(|it| !called(it)).collect();
        assert!(missed.is_empty(), "these endpoints were not called: {missed:?}");

        let Some(contract) = &contract else { continue };
        let check = |exchange| match last_page {
            LastPage::Absent => contract.check(exchange),
            // The file does not allow null there: what the simulator says is not in question here.
            LastPage::Null => contract.check_request(exchange),
        };
        let found: Vec<_> = seen.iter().flat_map(check).collect();
        assert!(found.is_empty(), "{}", found.join("\n"));
    }
}
