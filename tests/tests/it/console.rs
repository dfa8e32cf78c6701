//! The console in a browser: from a key to the rejects of a finished run.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use klaviyo_sim::{AccountConfig, Config, FlowConfig};
use tempfile::TempDir;

use crate::{
    harness::{
        LIST, OTHER_LIST, People, Services, Shape, Sim, account, free_address, limited, rate,
    },
    services_dead::{one_dead, run_whose_job_dies},
};

/// As few at a time, and so slowly, that somebody can watch it.
const BATCH: &str = "500";
const PROFILES_PER_SECOND: u32 = 3_000;
const FIRST_ROWS: u32 = 12_000;
/// What is exported later, with the past that the chart shows.
const LATER_ROWS: [u32; 7] = [7_200, 6_900, 6_100, 8_400, 9_300, 8_800, 10_400];

#[test]
fn somebody_with_nothing_but_a_browser_gets_from_a_key_to_the_rejects_of_a_run() {
    let sim = shop();
    let console = free_address();
    let listen = console.to_string();
    let keys = keys();
    let mut more = places(&keys).to_vec();
    more.push(("SEGUE_CONSOLE_LISTEN", &listen));
    let services = Services::together_with(&sim, &more);
    tell(&sim, &services, console, &shots("console-shots"));
}

#[test]
fn the_story_is_the_same_with_all_services_apart() {
    let sim = shop();
    let shape = Shape { control_planes: 2, workers: 2, statuses: 1 };
    let keys = keys();
    let mut services = Services::apart_with(&sim, shape, &places(&keys));
    let console = services.console();
    tell(&sim, &services, console, &shots("console-shots-apart"));
}

/// A folder with a key in the file `shop`.
fn keys() -> TempDir {
    let keys = tempfile::tempdir().unwrap();
    fs::write(keys.path().join("shop"), "pk_sim\n").unwrap();
    keys
}

/// What the story needs of the services, with a variable that has the same key.
fn places(keys: &TempDir) -> [(&str, &str); 3] {
    [
        ("SEGUE_KEY_DIR", keys.path().to_str().unwrap()),
        ("SEGUE_KLAVIYO_KEY_SHOP", "pk_sim"),
        ("SEGUE_BATCH_PROFILES", BATCH),
    ]
}

fn shop() -> Sim {
    Sim::start(Config {
        accounts: vec![AccountConfig {
            name: "Example Shop".to_owned(),
            // Whoever joins the other list gets messages.
            flows: vec![FlowConfig {
                id: "FLOW01".to_owned(),
                name: "Welcome series".to_owned(),
                status: "live".to_owned(),
                archived: false,
                list: OTHER_LIST.to_owned(),
            }],
            ..account()
        }],
        no_limits: true,
        process_rate: rate(PROFILES_PER_SECOND),
        ..limited()
    })
}

#[test]
fn dead_jobs_are_announced_anew_and_dropped_by_buttons() {
    let sim = Sim::free();
    let shape = Shape { control_planes: 1, workers: 1, statuses: 1 };
    let mut services = Services::apart(&sim, shape);
    let console = services.console();
    People::good(20).write(&services.source().join("people.csv"));
    let export = services.export("people.csv");
    let shots = shots("console-shots-jobs");
    let press = |services: &Services, action: &str| {
        let mut script = Command::new("node");
        script.arg(scripts().join("jobs.mjs")).arg(format!("http://{console}"));
        script.arg(services.admin_token()).arg(&shots).arg(action);
        let pressed = script.output().expect("node, which `make test` installs");
        let (said, wrong) =
            (String::from_utf8_lossy(&pressed.stdout), String::from_utf8_lossy(&pressed.stderr));
        assert!(pressed.status.success(), "{said}\n{wrong}\nPictures are in {}", shots.display());
    };
    let audited = |services: &Services, action: &str| {
        let entries = services.ask(&["audit", "list"]);
        entries.as_array().unwrap().iter().filter(|it| it["action"] == action).count()
    };

    // No worker is there that could take the job in between: whatever becomes of it, the button did.
    let run = run_whose_job_dies(&mut services, &export);
    one_dead(&services);
    press(&services, "requeue");
    assert_eq!(audited(&services, "job.requeue"), 1);
    services.kill_and_restart("worker-1");
    assert_eq!(services.ended(&run)["state"], "succeeded");

    let run = run_whose_job_dies(&mut services, &export);
    one_dead(&services);
    press(&services, "drop");
    assert_eq!(audited(&services, "job.drop"), 1);
    let ended = services.ended(&run);
    assert_eq!(ended["failure"]["reason"], "job_dropped", "{ended}");
}

fn tell(sim: &Sim, services: &Services, console: SocketAddr, shots: &Path) {
    segments(services);
    let told = Command::new("node")
        .arg(scripts().join("story.mjs"))
        .arg(format!("http://{console}"))
        .arg(services.admin_token())
        .args(["pk_sim", LIST])
        .args([&services.source(), shots])
        .output()
        .expect("node, which `make test` installs");
    let (said, wrong) =
        (String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr));
    assert!(told.status.success(), "{said}\n{wrong}\nPictures are in {}", shots.display());
    assert!(sim.members(LIST).len() > usize::try_from(FIRST_ROWS / 2).unwrap());
    // What a person is called, and by what they are known, is in no log.
    let logged = services.all_said();
    let token = fs::read_to_string(services.admin_token()).unwrap();
    assert!(!logged.contains(token.trim()) && !logged.contains("pk_sim"), "{logged}");
    assert!(!logged.contains("<script>"), "{logged}");
}

fn segments(services: &Services) {
    let sample = |name: &str, rows: u32, seed: usize| {
        let file = services.source().join(name);
        let (rows, seed) = (rows.to_string(), seed.to_string());
        let arguments = ["sample", "--rows", &rows, "--seed", &seed, "--dirty"];
        let mut command = services.command(&arguments);
        assert!(command.arg(file).output().unwrap().status.success(), "{name}");
    };
    sample("first.csv", FIRST_ROWS, 1);
    for (nth, rows) in LATER_ROWS.into_iter().enumerate() {
        sample(&format!("later-{nth}.csv"), rows, nth + 2);
    }
    let bad =
        "email,first_name,loyalty_tier\nnobody,x,gold\nno one,y,gold\nada@one.example,Ada,gold\n";
    fs::write(services.source().join("bad.csv"), bad).unwrap();
    let hostile = "email,first_name\n<script>alert(1)</script>,x\n=cmd|' /C calc'!A0,y\nada@one.example,Ada\n";
    fs::write(services.source().join("hostile.csv"), hostile).unwrap();
}

/// Pictures of every page, for people to look at.
fn shots(name: &str) -> PathBuf {
    let binaries = crate::harness::segue();
    let target = binaries.ancestors().nth(2).unwrap().to_owned();
    let shots = target.join(name);
    fs::create_dir_all(&shots).unwrap();
    shots
}

/// Where the scripts are, with what they need.
fn scripts() -> PathBuf {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("console");
    let ready = Command::new("sh").arg(scripts.join("setup.sh")).output().unwrap();
    assert!(ready.status.success(), "{}", String::from_utf8_lossy(&ready.stderr));
    scripts
}
