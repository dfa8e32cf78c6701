//! How fast the simulator takes imports: 100 bodies of 3.5 MB over loopback, then the same without
//! the network, and what a million profiles cost in memory.
//!
//! `cargo run --release -p klaviyo-sim --example throughput [bodies]`
#![expect(clippy::expect_used, reason = "in the helpers of tests a panic is the failure")]

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use klaviyo_sim::{Completion, Config, Simulator};

const PROFILES: usize = 10_000;

/// About 350 bytes a profile, as a typical export sends them. Every body has other people.
fn body(number: usize) -> Vec<u8> {
    let mut body = Vec::with_capacity(PROFILES * 360);
    body.extend_from_slice(
        br#"{"data":{"type":"profile-bulk-import-job","attributes":{"profiles":{"data":["#,
    );
    for n in 0..PROFILES {
        let person = number * PROFILES + n;
        if n > 0 {
            body.push(b',');
        }
        write!(
            body,
            r#"{{"type":"profile","attributes":{{"email":"person.{person:08}@example.com","external_id":null,"first_name":"Annemarie","last_name":"Christensen","location":{{"city":"Aarhus","country":"Denmark","zip":"8000"}},"properties":{{"lifetime_value":1234.56,"last_order_at":"2026-05-01T10:00:00Z","favourite_category":"outdoor furniture","newsletter":true,"orders":17}}}}}}"#
        )
        .expect("memory takes everything");
    }
    body.extend_from_slice(
        br#"]}},"relationships":{"lists":{"data":[{"type":"list","id":"LIST01"}]}}}}"#,
    );
    body
}

fn send(socket: &mut TcpStream, body: &[u8]) -> std::io::Result<()> {
    write!(
        socket,
        "POST /api/profile-bulk-import-jobs HTTP/1.1\r\nhost: x\r\nauthorization: Klaviyo-API-Key \
         pk_sim\r\nrevision: 2026-07-15\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )?;
    socket.write_all(body)?;
    let mut answer = [0; 4096];
    let read = socket.read(&mut answer)?;
    assert!(answer[..read].starts_with(b"HTTP/1.1 202"), "the import was refused");
    Ok(())
}

fn push(address: SocketAddr, bodies: &[Vec<u8>]) -> std::io::Result<()> {
    let mut socket = TcpStream::connect(address)?;
    bodies.iter().try_for_each(|body| send(&mut socket, body))
}

fn resident_megabytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|kb| kb.trim().strip_suffix(" kB")?.parse::<usize>().ok()).unwrap_or(0) / 1024
}

/// Seconds of processor time this thread used, by the kernel's count.
fn processor_seconds(path: &str) -> f64 {
    let stat = std::fs::read_to_string(path).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split(' ').collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(12) + ticks(13)) / 100.0
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people to read")]
#[expect(clippy::print_stdout, reason = "that is what it is for")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let count = std::env::args().nth(1).map_or(Ok(100), |text| text.parse())?;
    let bodies: Vec<Vec<u8>> = (0..count).map(body).collect();
    let megabytes = bodies.iter().map(Vec::len).sum::<usize>() as f64 / 1e6;
    for forget_payloads in [true, false] {
        let config = Config {
            no_limits: true,
            forget_payloads,
            completion: Completion::AfterPoll { unwatched: Duration::ZERO },
            ..Config::default()
        };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let sim = runtime.block_on(Simulator::start(config))?;
        let before = resident_megabytes();
        let (address, started) = (sim.address(), Instant::now());
        let busy = processor_seconds("/proc/self/stat");
        let sent = std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    push(address, &bodies).map(|()| processor_seconds("/proc/thread-self/stat"))
                })
                .join()
        });
        let sender = sent.map_err(|_| "the sender panicked")??;
        let accepted = started.elapsed().as_secs_f64();
        let all = count * PROFILES;
        runtime.block_on(sim.until(|state| state.members("LIST01") == all));
        let done = started.elapsed().as_secs_f64();
        let busy = processor_seconds("/proc/self/stat") - busy - sender;
        println!(
            "forget_payloads={forget_payloads}: {megabytes:.0} MB accepted at {:.0} MB/s, all {all} \
             profiles on the list at {:.0} MB/s; the simulator used {busy:.2} s of processor, {:.0} \
             MB/s of one core; {} MB more in memory",
            megabytes / accepted,
            megabytes / done,
            megabytes / busy,
            resident_megabytes().saturating_sub(before),
        );
    }
    Ok(())
}
