//! Who may do what, over real listeners: every method, with every role and every kind of token.

mod issuer;
mod raw;

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt as _};

use prost::Message as _;
use serde_json::Value;
use tonic::Code;

use crate::harness::{Client, LIST, People, Services, Shape, Sim};
use issuer::Issuer;
use raw::Raw;

const SHAPE: Shape = Shape { control_planes: 1, workers: 1, statuses: 1 };
const ROLES: [&str; 3] = ["viewer", "contributor", "administrator"];

/// What whoever reads the contract would expect: the least role for each method.
const NEEDS: &[(&str, &str)] = &[
    ("AuditService/ListAuditEntries", "administrator"),
    ("AuditService/VerifyAudit", "administrator"),
    ("ConnectionService/CreateConnection", "administrator"),
    ("ConnectionService/DeleteConnection", "administrator"),
    ("ConnectionService/GetConnection", "contributor"),
    ("ConnectionService/ListConnections", "contributor"),
    ("ConnectionService/RotateKeys", "administrator"),
    ("ConnectionService/UpdateConnection", "administrator"),
    ("ConnectionService/VerifyConnection", "administrator"),
    ("ExportService/CreateExport", "contributor"),
    ("ExportService/DeleteExport", "contributor"),
    ("ExportService/DuplicateExport", "contributor"),
    ("ExportService/GetExport", "viewer"),
    ("ExportService/ListExports", "viewer"),
    ("ExportService/UpdateExport", "contributor"),
    ("JobService/DropDeadJob", "administrator"),
    ("JobService/ListDeadJobs", "viewer"),
    ("JobService/RequeueDeadJob", "administrator"),
    ("ListService/CreateList", "contributor"),
    ("ListService/GetList", "contributor"),
    ("ListService/ListLists", "contributor"),
    ("RunService/CancelRun", "contributor"),
    ("RunService/RetryRun", "contributor"),
    ("RunService/StartAllRuns", "contributor"),
    ("RunService/StartRun", "contributor"),
    ("ScheduleService/GetSystemSchedule", "viewer"),
    ("ScheduleService/PreviewSchedule", "viewer"),
    ("ScheduleService/ScheduleExports", "contributor"),
    ("ScheduleService/SetSystemSchedule", "administrator"),
    ("SourceService/CreateSource", "administrator"),
    ("SourceService/DeleteSource", "administrator"),
    ("SourceService/DescribeSegment", "contributor"),
    ("SourceService/GetSource", "viewer"),
    ("SourceService/ListSegments", "contributor"),
    ("SourceService/ListSources", "viewer"),
    ("SourceService/UpdateSource", "administrator"),
    ("StatusService/GetRun", "viewer"),
    ("StatusService/ListRejects", "contributor"),
    ("StatusService/ListRuns", "viewer"),
    ("StatusService/WatchRun", "viewer"),
    ("TokenService/CreateToken", "administrator"),
    ("TokenService/GetCaller", "viewer"),
    ("TokenService/ListTokens", "administrator"),
    ("TokenService/RevokeToken", "administrator"),
];

/// All methods of people's services, by the descriptors.
fn methods() -> Vec<String> {
    let set = prost_types::FileDescriptorSet::decode(segue_proto::DESCRIPTORS).unwrap();
    let services = set.file.into_iter().flat_map(|file| file.service);
    let mut methods: Vec<String> = services
        .filter(|service| service.name() != "WorkerService")
        .flat_map(|service| {
            let name = service.name().to_owned();
            let methods = service.method.into_iter();
            methods.map(move |method| format!("{name}/{}", method.name())).collect::<Vec<_>>()
        })
        .collect();
    methods.sort();
    methods
}

/// Makes a token of each role, by the command line.
fn tokens(services: &Services) -> BTreeMap<&'static str, String> {
    let make = |role| {
        let create = ["tokens", "create", "--display-name", role, "--role", role];
        let (code, stdout, stderr) = services.ask_for(&create);
        assert_eq!(code, Some(0), "{stderr}");
        (role, stdout.trim().to_owned())
    };
    ROLES.into_iter().map(make).collect()
}

#[test]
fn every_method_with_every_role_is_let_in_or_refused_as_the_contract_says() {
    let known: Vec<&str> = NEEDS.iter().map(|(method, _)| *method).collect();
    assert_eq!(methods(), known, "who may call what is new?");
    let sim = Sim::free();
    let services = Services::apart(&sim, SHAPE);
    let tokens = tokens(&services);
    let raw = Raw::of(&services);
    let rank = |role: &str| ROLES.iter().position(|it| *it == role).unwrap();
    for (method, needs) in NEEDS {
        for (role, token) in &tokens {
            let code = raw.call(method, Some(token));
            // What is asked is empty, so whoever is let in is told that, at most.
            let refused = code == Code::PermissionDenied;
            assert_eq!(refused, rank(role) < rank(needs), "{role} calls {method}: {code:?}");
            let fine = [Code::Ok, Code::InvalidArgument, Code::PermissionDenied];
            assert!(fine.contains(&code), "{role} calls {method}: {code:?}");
        }
    }
    // A control-plane answers workers on another listener, and no role is enough there.
    for method in ["WorkerService/Claim", "WorkerService/Nothing", "NoService/Nothing"] {
        assert_eq!(
            raw.call(method, Some(&tokens["administrator"])),
            Code::Unimplemented,
            "{method}"
        );
    }
}

#[test]
fn no_method_lets_in_whoever_is_not_known() {
    let sim = Sim::free();
    let issuer = Issuer::start();
    let folder = tempfile::tempdir().unwrap();
    let oidc = folder.path().join("oidc.toml");
    fs::write(&oidc, issuer.trusted_by("segue")).unwrap();
    let environment = [("SEGUE_OIDC_FILE", oidc.to_str().unwrap())];
    let services = Services::apart_with(&sim, SHAPE, &environment);
    let token = tokens(&services).remove("administrator").unwrap();
    let raw = Raw::of(&services);
    let fine = issuer.token("segue", "segue-admins", 300);
    for method in ["TokenService/GetCaller", "StatusService/ListRuns"] {
        assert_eq!(raw.call(method, Some(&fine)), Code::Ok, "{method}");
    }
    let (head, _signature) = fine.rsplit_once('.').unwrap();
    let strangers = BTreeMap::from([
        ("nothing", None),
        ("an empty one", Some(String::new())),
        ("any word", Some("administrator".to_owned())),
        ("another secret", Some(format!("{}{}", &token[..token.len() - 8], "00000000"))),
        ("another id", Some(format!("segue_{}{}", "0".repeat(22), &token[28..]))),
        ("cut short", Some(token[..token.len() - 1].to_owned())),
        ("expired", Some(issuer.token("segue", "segue-admins", -300))),
        ("for somebody else", Some(issuer.token("other", "segue-admins", 300))),
        ("of somebody else", Some(Issuer::start().token("segue", "segue-admins", 300))),
        ("not signed", Some(format!("{head}."))),
        ("wrongly signed", Some(issuer.forged("segue", "segue-admins"))),
        ("of no algorithm", Some(issuer.unsigned("segue", "segue-admins"))),
    ]);
    for (method, _) in NEEDS {
        for (what, stranger) in &strangers {
            let code = raw.call(method, stranger.as_deref());
            assert_eq!(code, Code::Unauthenticated, "{method} with {what}");
        }
    }
    // Known, but of no role.
    let guest = issuer.token("segue", "guests", 300);
    assert_eq!(raw.call("TokenService/GetCaller", Some(&guest)), Code::PermissionDenied);
    let viewer = issuer.token("segue", "everybody", 300);
    assert_eq!(raw.call("StatusService/ListRuns", Some(&viewer)), Code::Ok);
    assert_eq!(raw.call("RunService/StartRun", Some(&viewer)), Code::PermissionDenied);
    for secret in [&token, &fine, &viewer] {
        assert!(!services.all_said().contains(secret.as_str()), "a token is in a log");
    }
}

#[test]
fn token_that_is_taken_back_is_refused_from_the_next_call_on() {
    let sim = Sim::free();
    let services = Services::apart(&sim, SHAPE);
    let token = tokens(&services).remove("viewer").unwrap();
    let raw = Raw::of(&services);
    let calls = ["TokenService/GetCaller", "StatusService/ListRuns"];
    for call in calls {
        assert_eq!(raw.call(call, Some(&token)), Code::Ok);
    }
    let listed = services.ask(&["tokens", "list"]);
    let of_viewer = |it: &&Value| it["role"] == "viewer";
    let id = listed.as_array().unwrap().iter().find(of_viewer).unwrap()["id"].as_str().unwrap();
    let (code, _, stderr) = services.ask_for(&["tokens", "revoke", id]);
    assert_eq!(code, Some(0), "{stderr}");
    for call in calls {
        assert_eq!(raw.call(call, Some(&token)), Code::Unauthenticated);
    }
}

#[test]
fn first_start_leaves_a_token_for_its_owner_only_and_the_command_line_finds_it() {
    let sim = Sim::free();
    let mut services = Services::together_with(&sim, &[("SEGUE_ADMIN_TOKEN_FILE", "")]);
    let file = services.data().join("admin-token");
    let token = fs::read_to_string(&file).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let said = services.said("serve");
    assert!(said.contains(file.to_str().unwrap()) && !said.contains(token.trim()), "{said}");

    let (server, home) = (services.control_plane(), tempfile::tempdir().unwrap());
    let stranger = Client::new(server, server, home.path(), "pk_sim");
    let (code, _, stderr) = stranger.ask_for(&["exports", "list"]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("does not know you") && stderr.contains("--token-file"), "{stderr}");
    // Whose data folder is the default one need not name the file.
    let data = home.path().join(".local/share/segue");
    fs::create_dir_all(&data).unwrap();
    fs::copy(&file, data.join("admin-token")).unwrap();
    let known = stranger.ask_at_last(&["tokens", "whoami"]);
    assert_eq!(known["role"], "administrator");

    // There is no second first time.
    fs::remove_file(&file).unwrap();
    services.kill_and_restart("serve");
    services.await_ready();
    assert!(!file.exists());
    assert_eq!(stranger.ask_at_last(&["tokens", "whoami"]), known);
}

/// Somebody with a token of that role, by the command line.
fn somebody(services: &Services, role: &str) -> Client {
    let file = services.source().join(role);
    fs::write(&file, &tokens(services)[role]).unwrap();
    services.client("pk_sim").with_token(&file)
}

#[track_caller]
fn done(client: &Client, arguments: &[&str]) -> String {
    let (code, stdout, stderr) = client.ask_for(arguments);
    assert_eq!(code, Some(0), "{arguments:?}: {stderr}");
    stdout
}

#[track_caller]
fn refused(client: &Client, arguments: &[&str], words: &str) {
    let (code, _, stderr) = client.ask_for(arguments);
    assert_eq!(code, Some(1), "{arguments:?}");
    assert!(stderr.contains(words), "{arguments:?}: {stderr}");
}

/// What each may do with a connection and the exports on it, from its making to its end.
fn connection_lives_and_dies(services: &Services, sim: &Sim) {
    People::good(10).write(&services.source().join("people.csv"));
    let export = services.export("people.csv");
    let contributor = somebody(services, "contributor");
    let administrator = services.client("pk_sim").with_token(&services.admin_token());
    let connection = services.ask(&["exports", "get", &export])["connection_id"].clone();
    let connection = connection.as_str().unwrap();
    refused(&contributor, &["runs", "start", &export], "is not shared with you");
    assert_eq!(contributor.ask_at_last(&["connections", "list"]), serde_json::json!([]));

    done(&administrator, &["connections", "update", connection, "--share", "--only-list", LIST]);
    let seen = contributor.ask_at_last(&["connections", "list"]);
    assert_eq!((&seen[0]["id"], &seen[0]["account_id"]), (&connection.into(), &"".into()));
    refused(&contributor, &["exports", "update", &export, "--list", "OTHER1"], "for other lists");
    refused(&contributor, &["connections", "delete", connection], "needs the role administrator");
    done(&contributor, &["exports", "disable", &export]);
    refused(&contributor, &["runs", "start", &export], "is disabled");
    done(&contributor, &["exports", "enable", &export]);
    done(&contributor, &["runs", "start", &export, "--watch"]);
    assert_eq!(sim.members(LIST).len(), 10);
    let copy = contributor.ask_at_last(&["exports", "duplicate", &export]);
    let whoami = contributor.ask_at_last(&["tokens", "whoami"]);
    assert_eq!((&copy["owner"]["subject"], &copy["disabled"]), (&whoami["subject"], &true.into()));

    refused(&administrator, &["connections", "delete", connection], "uses the connection");
    done(&administrator, &["connections", "delete", connection, "--detach"]);
    refused(&administrator, &["runs", "start", &export], "has no connection");
    done(&administrator, &["audit", "verify"]);
    let entries = administrator.ask_at_last(&["audit", "list", "--object", &export]);
    let actions = entries.as_array().unwrap().iter().map(|it| it["action"].as_str().unwrap());
    let expected = ["export.detach", "export.update", "export.update", "export.create"];
    assert_eq!(actions.collect::<Vec<_>>(), expected);
    assert_eq!(entries[1]["subject"], whoami["subject"]);
    assert!(!entries.to_string().contains("pk_sim"), "a key is in the audit record");
}

#[test]
fn connection_lives_and_dies_in_one_process() {
    let sim = Sim::free();
    connection_lives_and_dies(&Services::together(&sim), &sim);
}

#[test]
fn connection_lives_and_dies_over_several_services() {
    let sim = Sim::free();
    connection_lives_and_dies(&Services::apart(&sim, SHAPE), &sim);
}

#[test]
fn keys_outlive_their_master_key_once_they_are_sealed_anew() {
    let sim = Sim::free();
    let mut services = Services::together(&sim);
    People::good(10).write(&services.source().join("people.csv"));
    let export = services.export("people.csv");
    let folder = services.data();
    let folder = folder.parent().unwrap();
    let (old, new) = (folder.join("master-key"), folder.join("new-key"));
    fs::write(&new, "11".repeat(32)).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).unwrap();
    let both = [
        ("SEGUE_MASTER_KEY_FILE", new.to_str().unwrap()),
        ("SEGUE_OLD_MASTER_KEY_FILE", old.to_str().unwrap()),
    ];
    services.restart_with("serve", &both);
    services.await_ready();
    let rotated = services.ask(&["keys", "rotate"]);
    assert_eq!((&rotated["resealed"], &rotated["current"]), (&1.into(), &0.into()));
    services.restart_with("serve", &both[..1]);
    services.await_ready();
    fs::remove_file(&old).unwrap();
    let (code, _, stderr) = services.ask_for(&["runs", "start", &export, "--watch"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(sim.members(LIST).len(), 10);
}
