//! What administrators and contributors learn of a Klaviyo account over the command line: its key and its lists.

use klaviyo_sim::{AccountConfig, Config, Faults, FlowConfig, KeyConfig, ListConfig};
use serde_json::Value;

use crate::harness::{LIST, OTHER_LIST, People, Services, Shape, Sim, account, free, limited};

const SHAPE: Shape = Shape { control_planes: 1, workers: 0, statuses: 0 };

/// `LIST01` starts a live flow and one that is not.
fn with_flows() -> AccountConfig {
    let flow = |id: &str, status: &str| FlowConfig {
        id: id.to_owned(),
        name: format!("Flow {id}"),
        status: status.to_owned(),
        archived: false,
        list: LIST.to_owned(),
    };
    AccountConfig { flows: vec![flow("FLOW01", "live"), flow("FLOW02", "draft")], ..account() }
}

fn sim_of(account: AccountConfig, config: Config) -> Sim {
    Sim::start(Config { accounts: vec![account], ..config })
}

fn connection(services: &Services) -> String {
    let create = ["connections", "create", "--display-name", "Shop", "--accept-consent"];
    services.ask(&create)["id"].as_str().unwrap().to_owned()
}

/// How a command that does not succeed explains itself.
#[track_caller]
fn refused(services: &Services, arguments: &[&str]) -> String {
    let (code, _, stderr) = services.ask_for(arguments);
    assert_eq!(code, Some(1), "{arguments:?}: {stderr}");
    stderr
}

fn column(lists: &Value, name: &str) -> Vec<String> {
    let cell = |it: &Value| it[name].as_str().unwrap().to_owned();
    lists.as_array().unwrap().iter().map(cell).collect()
}

#[test]
fn lists_are_shown_picked_and_made() {
    let numbered = (0..23).map(|n| ListConfig::new(format!("L{n:05}"), format!("List {n:02}")));
    let twins = ["TWIN01", "TWIN02"].map(|id| ListConfig::new(id, "Twins"));
    let mut account = with_flows();
    account.lists.extend(numbered.chain(twins));
    let sim = sim_of(account, free());
    let services = Services::apart(&sim, SHAPE);
    let con = connection(&services);
    let list = ["lists", "list", "--connection", &con];
    assert_eq!(column(&services.ask(&list), "name").len(), 27, "of all pages");
    let found = services.ask(&[list.as_slice(), &["--name", "LIST 1"]].concat());
    assert_eq!(column(&found, "id").len(), 10);
    let (code, table, _) = services.ask_for(&[list.as_slice(), &["--name", "demo"]].concat());
    assert_eq!(code, Some(0));
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("ID") && lines[1].contains("Segue demo"), "{table}");
    assert!(lines[1].starts_with(LIST) && lines.len() == 2, "{table}");

    let shown = services.ask(&["lists", "get", LIST, "--connection", &con]);
    assert_eq!(
        (&shown["name"], &shown["opt_in_process"]),
        (&"Segue demo".into(), &"double".into())
    );
    assert_eq!(shown["live_flows"], serde_json::json!([{"id": "FLOW01", "name": "Flow FLOW01"}]));
    let (_, table, _) = services.ask_for(&["lists", "get", LIST, "--connection", &con]);
    assert!(table.contains("\"Flow FLOW01\" (FLOW01)"), "{table}");
    let words = refused(&services, &["lists", "get", "NOLIST", "--connection", &con]);
    assert!(words.contains("there is no list NOLIST"), "{words}");

    let create =
        ["lists", "create", "--connection", &con, "--name", "Käufer", "--request-id", "once"];
    let made = services.ask(&create);
    assert_eq!(services.ask(&create), made);
    assert_eq!(sim.writes().len(), 1);
    let again = ["lists", "create", "--connection", &con, "--name", "Käufer"];
    let id = made["id"].as_str().unwrap();
    let words = refused(&services, &again);
    assert!(words.contains("of this name already") && words.contains(id), "{words}");

    let export = |name: &str| {
        let mut export = vec!["exports", "create", "--display-name", "E", "--connection", &con];
        export.extend(["--segment", "people.csv", "--list-name"]);
        export.push(name);
        export.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let words = |name: &str| {
        let arguments = export(name);
        refused(&services, &arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let several = words("Twins");
    assert!(several.contains("TWIN01, TWIN02"), "{several}");
    let none = words("käufer");
    assert!(none.contains("has no list \"käufer\""), "{none}");
    let made_for = |name: &str| {
        let mut arguments = export(name);
        arguments.extend(["--output", "json"].map(str::to_owned));
        let (code, stdout, stderr) =
            services.ask_for(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(code, Some(0), "{stderr}");
        let made: Value = serde_json::from_str(&stdout).unwrap();
        (made["list_id"].as_str().unwrap().to_owned(), stderr)
    };
    assert_eq!(made_for("Käufer"), (id.to_owned(), String::new()));
    let (list, said) = made_for("Segue demo");
    assert!(list == LIST && said.contains("\"Flow FLOW01\" (FLOW01)"), "{list}: {said}");
    assert!(said.contains("--allow-live-flows"), "{said}");
}

#[test]
fn whoever_saves_an_export_is_told_of_live_flows_and_asked_on_a_terminal() {
    let sim = sim_of(with_flows(), free());
    let services = Services::together(&sim);
    let con = connection(&services);
    let create = |list: &'static str, more: &[&'static str]| {
        let mut words = vec!["exports", "create", "--display-name", "E", "--segment", "a.csv"];
        words.extend(["--connection", con.as_str(), "--list", list]);
        words.extend(more);
        words.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let said = |arguments: &[String]| {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let (code, _, stderr) = services.ask_for(&arguments);
        assert_eq!(code, Some(0), "{stderr}");
        stderr
    };
    let live = |words: &str| words.contains("\"Flow FLOW01\" (FLOW01)");
    let words = said(&create(LIST, &[]));
    assert!(live(&words) && words.contains("--allow-live-flows"), "{words}");
    assert_eq!(said(&create(LIST, &["--allow-live-flows"])), "");
    assert_eq!(said(&create(OTHER_LIST, &[])), "");
    let id = |export: &Value| export["id"].as_str().unwrap().to_owned();
    let exports = services.ask(&["exports", "list"]);
    let of = |list: &str, allows: bool| {
        let fits = |it: &&Value| {
            it["list_id"] == list && it["guards"]["allow_live_flows"].as_bool() == Some(allows)
        };
        id(exports.as_array().unwrap().iter().find(fits).unwrap())
    };
    let (other, allowed) = (of(OTHER_LIST, false), of(LIST, true));
    let update = |export: &str, more: &[&str]| {
        let words = [["exports", "update", export].as_slice(), more].concat();
        said(&words.into_iter().map(str::to_owned).collect::<Vec<_>>())
    };
    assert_eq!(update(&other, &["--display-name", "F"]), "");
    assert_eq!(update(&allowed, &["--list", LIST]), "");
    let words = update(&allowed, &["--allow-live-flows", "false"]);
    assert!(live(&words) && words.contains("--allow-live-flows true"), "{words}");

    // Somebody sits there: anything but yes leaves the export as it was.
    let to_live = ["exports", "update", &other, "--list", LIST];
    for answer in ["n\n", "\n"] {
        let (code, shown) = services.typed(&to_live, answer);
        assert!(code == Some(130) && live(&shown), "{code:?} {shown}");
        assert!(shown.contains("[y/N]") && shown.contains("nothing was saved"), "{shown}");
    }
    assert_eq!(services.ask(&["exports", "get", &other])["list_id"], OTHER_LIST);
    let (code, shown) = services.typed(&[to_live.as_slice(), &["--yes"]].concat(), "");
    assert!(code == Some(0) && !shown.contains("[y/N]"), "{code:?} {shown}");
    assert_eq!(services.ask(&["exports", "get", &other])["list_id"], LIST);
    update(&other, &["--list", OTHER_LIST]);
    assert_eq!(services.typed(&to_live, "y\n").0, Some(0));
    assert_eq!(services.ask(&["exports", "get", &other])["list_id"], LIST);
}

#[test]
fn export_is_saved_where_nobody_can_tell_what_its_list_starts() {
    let scopes = ["accounts:read", "lists:read", "lists:write", "profiles:read", "profiles:write"];
    let keys = vec![KeyConfig::with_scopes("pk_sim", &scopes)];
    let sim = sim_of(AccountConfig { keys, ..with_flows() }, free());
    let services = Services::together(&sim);
    let con = connection(&services);
    let create = ["exports", "create", "--display-name", "E", "--segment", "a.csv"];
    let to = ["--connection", con.as_str(), "--list", LIST];
    let (code, _, stderr) = services.ask_for(&[create.as_slice(), &to].concat());
    assert!(code == Some(0) && stderr.contains("not known"), "{code:?} {stderr}");
    assert!(stderr.contains("flows:read"), "{stderr}");
}

#[test]
fn plan_warns_of_live_flows_of_lists_that_can_be_asked() {
    let sim = sim_of(with_flows(), free());
    let services = Services::together(&sim);
    connection(&services);
    let file = services.source().parent().unwrap().join("segue.yaml");
    let planned = |allow: bool| {
        let text = format!(
            "apiVersion: segue/v1\nexports:\n- name: News\n  connection: Shop\n  list: {LIST}\n  segments: [a.csv]\n  guards: {{allowLiveFlows: {allow}}}\n"
        );
        std::fs::write(&file, text).unwrap();
        let (code, _, stderr) =
            services.ask_for(&["apply", "--plan", "--file", file.to_str().unwrap()]);
        assert_eq!(code, Some(2), "{stderr}");
        stderr
    };
    let warned = planned(false);
    assert!(warned.contains("warning: export News") && warned.contains("FLOW01"), "{warned}");
    assert_eq!(planned(true), "");
}

#[test]
fn verify_tells_all_that_can_be_known_without_writing() {
    let scopes = ["accounts:read", "lists:read", "profiles:read", "profiles:write"];
    let keys = vec![KeyConfig::with_scopes("pk_sim", &scopes)];
    // With Klaviyo's limits, so that its answers tell of them.
    let sim = sim_of(AccountConfig { keys, ..with_flows() }, limited());
    let services = Services::together(&sim);
    let con = connection(&services);
    let told = services.ask(&["connections", "verify", &con]);
    assert_eq!(told["account_id"], "SIMULA");
    assert_eq!(told["problem"], "", "{told:#}");
    assert!(told["checked_at"].is_string());
    assert_eq!(
        (&told["revision"], &told["requested_revision"]),
        (&"2026-07-15".into(), &"2026-07-15".into())
    );
    assert_eq!(told["revision_retires_at"], "2028-07-15T00:00:00.000Z");
    assert_ne!(told["revision_state"], "unspecified");
    let state = |scope: &str| {
        let scopes = told["scopes"].as_array().unwrap();
        scopes.iter().find(|it| it["scope"] == scope).unwrap()["state"].as_str().unwrap()
    };
    assert_eq!(state("lists:read"), "granted");
    assert_eq!(state("flows:read"), "missing");
    // The key lacks it, but nothing that only reads can find that out.
    assert_eq!(state("lists:write"), "unknown");
    let left = |endpoint: &str, source: &str| {
        let limits = told["limits"].as_array().unwrap();
        let is = |it: &&Value| it["endpoint"] == endpoint && it["source"] == source;
        limits.iter().find(is).map(|it| (it["remaining"].clone(), it["window"].clone()))
    };
    assert_eq!(left("accounts", "klaviyo"), Some((0.into(), "second".into())));
    assert_eq!(left("import", "klaviyo"), None);
    assert_eq!(left("import", "segue"), Some((150.into(), "minute".into())));

    let (code, table, _) = services.ask_for(&["connections", "verify", &con]);
    assert_eq!(code, Some(0));
    for words in ["lists:write", "unknown", "flows:read", "optional", "import", "2026-07-15"] {
        assert!(table.contains(words), "{words} is not in {table}");
    }
    assert_eq!(sim.writes(), []);
    assert!(!services.all_said().contains("pk_sim"), "a key is in a log");
}

#[test]
fn key_that_is_revoked_shows_on_every_export_until_a_run_delivers() {
    let sim = Sim::free();
    let services = Services::together(&sim);
    People::good(10).write(&services.source().join("people.csv"));
    let export = services.export("people.csv");
    let problem = || services.ask(&["exports", "get", &export])["connection_problem"].clone();
    assert_eq!(problem(), "");
    let revoked_keys = ["pk_sim".to_owned()].into();
    sim.set_faults(Faults { revoked_keys, ..Faults::default() });
    let run = services.ended(&services.start_run(&export));
    assert_eq!(run["failure"]["reason"], "key_refused", "{run:#}");
    let words = problem();
    assert!(words.as_str().unwrap().contains(run["id"].as_str().unwrap()), "{words}");
    let con = services.ask(&["connections", "list"])[0].clone();
    assert_eq!(con["problem"], words);
    let id = con["id"].as_str().unwrap();
    let said = refused(&services, &["connections", "verify", id]);
    assert!(said.contains("does not accept the key"), "{said}");
    let said = refused(&services, &["lists", "list", "--connection", id]);
    assert!(said.contains("does not accept the key") && !said.contains("pk_sim"), "{said}");

    sim.set_faults(Faults::default());
    let (code, _, stderr) = services.ask_for(&["runs", "start", &export, "--watch"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(problem(), "");
    let told = services.ask(&["connections", "verify", id]);
    let granted = told["scopes"].as_array().unwrap().iter().filter(|it| it["state"] == "granted");
    assert_eq!(granted.count(), 6, "an import has proved the two for writing: {told:#}");
}

#[test]
fn scope_for_writing_that_a_run_missed_is_not_forgotten_by_a_look() {
    let scopes = ["accounts:read", "lists:read", "profiles:read", "flows:read"];
    let keys = vec![KeyConfig::with_scopes("pk_sim", &scopes)];
    let sim = sim_of(AccountConfig { keys, ..account() }, free());
    let services = Services::together(&sim);
    People::good(10).write(&services.source().join("people.csv"));
    let export = services.export("people.csv");
    let con = services.ask(&["connections", "list"])[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(services.ask(&["connections", "verify", &con])["problem"], "");
    let run = services.ended(&services.start_run(&export));
    assert_eq!(run["failure"]["reason"], "scope_missing", "{run:#}");
    let said = refused(&services, &["connections", "verify", &con]);
    assert!(said.contains("lists:write") && said.contains(run["id"].as_str().unwrap()), "{said}");
}
