//! A way between two parts that can be slow, cut, or silent.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    runtime::Runtime,
    sync::watch,
};
use tokio_util::sync::CancellationToken;

/// What becomes of the bytes in one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Way {
    /// Each piece comes so much later.
    pub latency: Duration,
    /// Bytes a second; 0: as many as there are.
    pub bandwidth: u64,
    /// Nothing comes through, and nobody is told.
    pub black_hole: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Rules {
    up: Way,
    down: Way,
    refuse: bool,
}

/// From a port of its own to a server that may come and go.
pub struct Proxy {
    address: SocketAddr,
    rules: watch::Sender<Rules>,
    /// Whoever sees it change closes its connection, with a reset.
    cut: watch::Sender<u64>,
    /// Whichever connection sends this many further bytes to the server is cut there.
    limit: Arc<Mutex<Option<usize>>>,
    passed: Arc<AtomicU64>,
    end: CancellationToken,
    runtime: Runtime,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

#[derive(Clone)]
struct Shared {
    rules: watch::Receiver<Rules>,
    limit: Arc<Mutex<Option<usize>>>,
    passed: Arc<AtomicU64>,
}

impl Proxy {
    pub fn to(server: SocketAddr) -> Self {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let proxy = Self {
            address: listener.local_addr().unwrap(),
            rules: watch::Sender::new(Rules::default()),
            cut: watch::Sender::new(0),
            limit: Arc::default(),
            passed: Arc::default(),
            end: CancellationToken::new(),
            runtime,
        };
        let shared = Shared {
            rules: proxy.rules.subscribe(),
            limit: Arc::clone(&proxy.limit),
            passed: Arc::clone(&proxy.passed),
        };
        let (cut, end) = (proxy.cut.clone(), proxy.end.clone());
        let accepting = async move {
            while let Ok((client, _)) = listener.accept().await {
                if shared.rules.borrow().refuse {
                    reset(client);
                    continue;
                }
                let (mut cut, shared, end) = (cut.subscribe(), shared.clone(), end.clone());
                cut.mark_unchanged();
                tokio::spawn(async move {
                    let Ok(server) = TcpStream::connect(server).await else { return reset(client) };
                    let cut = async {
                        tokio::select! {
                            _ = cut.changed() => {}
                            () = end.cancelled() => {}
                        }
                    };
                    pass(client, server, shared, cut).await;
                });
            }
        };
        proxy.runtime.spawn(proxy.end.clone().run_until_cancelled_owned(accepting));
        proxy
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many bytes went to the server so far.
    pub fn passed(&self) -> u64 {
        self.passed.load(Ordering::Relaxed)
    }

    /// To the server, and back.
    pub fn ways(&self, up: Way, down: Way) {
        self.rules.send_modify(|rules| (rules.up, rules.down) = (up, down));
    }

    /// Resets what connections there are.
    pub fn cut(&self) {
        self.cut.send_modify(|cuts| *cuts += 1);
    }

    /// Resets what connections there are and refuses new ones, until [`Proxy::heal`].
    pub fn refuse(&self) {
        self.rules.send_modify(|rules| rules.refuse = true);
        self.cut();
    }

    /// The connection that sends the `bytes`-th byte from now on is reset.
    pub fn cut_after(&self, bytes: usize) {
        *self.limit.lock().unwrap() = Some(bytes);
    }

    /// All is well again. What a black hole has swallowed stays away: those connections are reset.
    pub fn heal(&self) {
        let before = self.rules.send_replace(Rules::default());
        *self.limit.lock().unwrap() = None;
        if before.up.black_hole || before.down.black_hole {
            self.cut();
        }
    }
}

/// Closing a socket that does not linger is a reset.
fn reset(stream: TcpStream) {
    // If that fails the connection is gone already.
    stream.set_zero_linger().ok();
    drop(stream);
}

/// A connection was cut on purpose.
struct Cut;

/// Until both sides have said all, or `cut` says that they have.
async fn pass(
    mut client: TcpStream,
    mut server: TcpStream,
    shared: Shared,
    cut: impl Future<Output = ()>,
) {
    let fast = [&client, &server].map(|stream| stream.set_nodelay(true));
    if fast.iter().any(Result::is_err) {
        return;
    }
    let passed = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let both = async {
            tokio::try_join!(
                copy(from_client, to_server, &shared, true),
                copy(from_server, to_client, &shared, false),
            )
        };
        tokio::select! {
            passed = both => passed.is_ok(),
            () = cut => false,
        }
    };
    if !passed {
        reset(client);
        reset(server);
    }
}

async fn copy(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    shared: &Shared,
    up: bool,
) -> Result<(), Cut> {
    let mut rules = shared.rules.clone();
    let mut buffer = vec![0; 16 << 10];
    loop {
        let read = match from.read(&mut buffer).await {
            Ok(0) => return to.shutdown().await.map_err(|_| Cut),
            Ok(read) => read,
            Err(_) => return Err(Cut),
        };
        let Rules { up: there, down: back, .. } = *rules.borrow_and_update();
        let way = if up { there } else { back };
        if way.black_hole {
            // Whoever heals it cuts what has lost bytes.
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(way.latency + way.takes(read)).await;
        let pass = if up { shared.let_pass(read) } else { read };
        to.write_all(&buffer[..pass]).await.map_err(|_| Cut)?;
        if pass < read {
            return Err(Cut);
        }
    }
}

impl Way {
    fn takes(self, bytes: usize) -> Duration {
        let micros = (bytes as u64 * 1_000_000).checked_div(self.bandwidth);
        Duration::from_micros(micros.unwrap_or(0))
    }
}

impl Shared {
    /// How many of so many bytes may go on to the server.
    fn let_pass(&self, bytes: usize) -> usize {
        self.passed.fetch_add(bytes as u64, Ordering::Relaxed);
        let mut left = self.limit.lock().unwrap();
        match left.take() {
            Some(most) if bytes >= most => most,
            Some(most) => {
                *left = Some(most - bytes);
                bytes
            }
            None => bytes,
        }
    }
}
