//! `segue simulator`.

use std::{net::SocketAddr, num::NonZeroU32, process::ExitCode, str::FromStr, time::Duration};

use anyhow::Context as _;
use clap::Args;
use klaviyo_sim::{
    AccountConfig, Completion, Config, Faults, FlowConfig, KeyConfig, ListConfig, Simulator,
    Trigger, WindowPhase,
};
use tokio_util::sync::CancellationToken;

use crate::{interrupt, ui};

#[derive(Debug, Args)]
pub(crate) struct SimulatorArgs {
    /// Where to listen.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7410")]
    listen: SocketAddr,
    /// The private key of the one account.
    #[arg(long, value_name = "KEY", default_value = "pk_sim")]
    key: String,
    /// The private key and the id of a further account with the same lists. May be repeated.
    #[arg(long, value_name = "KEY=ID")]
    account: Vec<Named>,
    /// Scopes of the key, with commas; without it the key may do everything.
    #[arg(long, value_name = "SCOPE,SCOPE", value_delimiter = ',')]
    scopes: Option<Vec<String>>,
    /// A list, as an id or as id and name. May be repeated.
    #[arg(long, value_name = "ID[=NAME]", default_value = "LIST01=Segue demo")]
    list: Vec<Named>,
    /// A live flow that a list starts, as the list's id and the flow's name. May be repeated.
    #[arg(long, value_name = "LIST=NAME")]
    live_flow: Vec<Named>,
    /// Turn Klaviyo's rate limits off.
    #[arg(long)]
    no_limits: bool,
    /// Where the windows of the rate limits begin: `first-request`, `wall-clock`, or a shift in
    /// milliseconds.
    #[arg(long, value_name = "PHASE", default_value = "first-request", value_parser = phase)]
    windows: WindowPhase,
    /// Profiles that are imported in a second; without it as fast as this machine can.
    #[arg(long, value_name = "N")]
    process_rate: Option<NonZeroU32>,
    /// A job is complete before it is first asked for.
    #[arg(long)]
    immediate: bool,
    /// Keep only the addresses of profiles: for many millions.
    #[arg(long)]
    forget_payloads: bool,
    /// Share of requests that fail with 500, 502 or 503.
    #[arg(long, value_name = "P", default_value_t = 0.0)]
    fail: f64,
    /// Share of connections that are reset in the middle of the request.
    #[arg(long, value_name = "P", default_value_t = 0.0)]
    reset: f64,
    /// Share of requests that are carried out and never answered.
    #[arg(long, value_name = "P", default_value_t = 0.0)]
    drop: f64,
    /// Share of requests that are answered with 429 although no limit is reached.
    #[arg(long, value_name = "P", default_value_t = 0.0)]
    throttle: f64,
    /// Every answer is so many milliseconds late.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    slow: u64,
    /// Share of import jobs that never complete.
    #[arg(long, value_name = "P", default_value_t = 0.0)]
    stuck: f64,
    /// Share of profiles that fail within their import job.
    #[arg(long, value_name = "P", default_value_t = 0.0)]
    import_fail: f64,
    /// Seeds all chance.
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
}

/// `ID=NAME`, or just `ID`.
#[derive(Debug, Clone)]
struct Named {
    id: String,
    name: String,
}

impl FromStr for Named {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (id, name) = text.split_once('=').unwrap_or((text, text));
        if id.is_empty() {
            return Err("write ID or ID=NAME".to_owned());
        }
        Ok(Self { id: id.to_owned(), name: name.to_owned() })
    }
}

fn phase(text: &str) -> Result<WindowPhase, String> {
    match text {
        "first-request" => Ok(WindowPhase::FirstRequest),
        "wall-clock" => Ok(WindowPhase::WallClock),
        millis => match millis.parse() {
            Ok(millis) => Ok(WindowPhase::Shifted(Duration::from_millis(millis))),
            Err(_) => Err("write first-request, wall-clock or milliseconds".to_owned()),
        },
    }
}

pub(crate) async fn run(args: SimulatorArgs) -> anyhow::Result<ExitCode> {
    let listen = args.listen;
    let key = args.key.clone();
    let stop = CancellationToken::new();
    interrupt::watch(stop.clone()).context("cannot listen for signals")?;
    let simulator = Simulator::start(config(args))
        .await
        .with_context(|| format!("cannot listen on {listen}: is another simulator running?"))?;
    ui::note(format_args!("a simulated Klaviyo listens on {}", simulator.url()));
    ui::note(format_args!(
        "use it with: SEGUE_KLAVIYO_URL={} KLAVIYO_API_KEY={key} segue export …",
        simulator.url()
    ));
    stop.cancelled().await;
    simulator.stop().await;
    Ok(ExitCode::SUCCESS)
}

fn config(args: SimulatorArgs) -> Config {
    let flow = |(nth, flow): (usize, Named)| FlowConfig {
        id: format!("FLOW{nth:02}"),
        name: flow.name,
        status: "live".to_owned(),
        archived: false,
        list: flow.id,
    };
    let lists: Vec<ListConfig> =
        args.list.into_iter().map(|list| ListConfig::new(list.id, list.name)).collect();
    let account = AccountConfig {
        keys: vec![KeyConfig { secret: args.key, scopes: args.scopes }],
        lists: lists.clone(),
        flows: args.live_flow.into_iter().enumerate().map(flow).collect(),
        ..AccountConfig::default()
    };
    let further = args.account.into_iter().map(|Named { id: key, name: id }| AccountConfig {
        name: format!("Simulated account {id}"),
        id,
        keys: vec![KeyConfig::all_scopes(key)],
        lists: lists.clone(),
        ..AccountConfig::default()
    });
    Config {
        listen: args.listen,
        accounts: [account].into_iter().chain(further).collect(),
        no_limits: args.no_limits,
        window_phase: args.windows,
        process_rate: args.process_rate,
        completion: if args.immediate { Completion::Immediate } else { Completion::default() },
        forget_payloads: args.forget_payloads,
        seed: args.seed,
        faults: Faults {
            fail: Trigger::probability(args.fail),
            reset: Trigger::probability(args.reset),
            drop: Trigger::probability(args.drop),
            throttle: Trigger::probability(args.throttle),
            slow_ms: args.slow,
            stuck: Trigger::probability(args.stuck),
            import_fail: Trigger::probability(args.import_fail),
            ..Faults::default()
        },
        ..Config::default()
    }
}
