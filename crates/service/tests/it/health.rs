//! `/metrics`, `/healthz`, `/readyz`.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use segue_service::{Checks, Drain, HttpServer};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::echo::recorder;

async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let body = answer.split_once("\r\n\r\n").unwrap().1.to_owned();
    (status, body)
}

async fn start(checks: Checks) -> (SocketAddr, Drain) {
    let server = HttpServer::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = server.local_addr().unwrap();
    let drain = Drain::new();
    tokio::spawn(server.serve(recorder(), checks, drain.clone()));
    (address, drain)
}

#[tokio::test]
async fn ready_names_what_is_not_well_until_it_is() {
    let checks = Checks::default();
    let well = Arc::new(AtomicBool::new(false));
    let database = Arc::clone(&well);
    checks.add("database", move || {
        let well = database.load(Ordering::Relaxed);
        async move { if well { Ok(()) } else { Err("does not answer".to_owned()) } }
    });
    checks.add("queue", async || Ok(()));
    let (address, drain) = start(checks).await;
    assert_eq!(get(address, "/readyz").await, (503, "database: does not answer\n".to_owned()));
    assert_eq!(get(address, "/healthz").await.0, 200);
    well.store(true, Ordering::Relaxed);
    assert_eq!(get(address, "/readyz").await, (200, "ready\n".to_owned()));
    drain.soft.cancel();
    assert_eq!(get(address, "/readyz").await, (503, "stopping\n".to_owned()));
    assert_eq!(get(address, "/healthz").await.0, 200);
    assert_eq!(get(address, "/nothing").await.0, 404);
}

#[tokio::test]
async fn check_that_hangs_is_not_well() {
    let checks = Checks::default();
    checks.add("queue", std::future::pending);
    let (address, _drain) = start(checks).await;
    let (status, body) = get(address, "/readyz").await;
    assert_eq!(status, 503);
    assert!(body.starts_with("queue: no answer"), "{body}");
}

#[tokio::test]
async fn metrics_come_with_help_and_with_what_the_kernel_knows() {
    let (address, _drain) = start(Checks::default()).await;
    let (status, body) = get(address, "/metrics").await;
    assert_eq!(status, 200);
    let value = |name: &str| {
        assert!(body.contains(&format!("# HELP {name} ")), "no help for {name} in:\n{body}");
        let line = body.lines().find(|line| line.starts_with(name)).unwrap();
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    assert!(body.contains(r#"segue_build_info{service="segue-test",version="0.0.0"} 1"#), "{body}");
    assert!((1e6..1e10).contains(&value("process_resident_memory_bytes")));
    assert!((3.0..10_000.0).contains(&value("process_open_fds")));
    assert!((0.0..10_000.0).contains(&value("process_cpu_seconds_total")));
}
