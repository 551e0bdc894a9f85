//! A Qdrant server: one that runs already, or one of our own that can be killed.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::guard::Guarded;
use crate::{ports, rest};

/// The variable that says where a Qdrant is: a path of its binary, or `http://host:6334`, the gRPC port of a server whose
/// HTTP port is the one before.
pub const QDRANT: &str = "MNEMON_TEST_QDRANT";

const PATIENCE: Duration = Duration::from_secs(60);

/// What [`QDRANT`] names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    /// A binary: tests start servers of their own.
    Binary(PathBuf),
    /// The gRPC URL of a server that runs: tests that kill theirs are ignored.
    Url(String),
}

/// A Qdrant server; one of our own is killed when dropped, and its folder removed.
#[derive(Debug)]
pub struct Qdrant {
    http: String,
    grpc: String,
    own: Option<Own>,
}

#[derive(Debug)]
struct Own {
    binary: PathBuf,
    arguments: Vec<String>,
    variables: Vec<(&'static str, String)>,
    process: Option<Guarded>,
    folder: TempDir,
}

impl Qdrant {
    /// What the environment says; `None` where it says nothing.
    pub fn from_env() -> Option<Given> {
        let value = std::env::var(QDRANT).ok().filter(|value| !value.is_empty())?;
        Some(if value.starts_with("http://") { Given::Url(value) } else { Given::Binary(value.into()) })
    }

    /// The server at a gRPC URL, whose HTTP port is the one before.
    pub fn at(grpc: &str) -> Self {
        let grpc = grpc.trim_end_matches('/');
        let (host, port) = grpc.rsplit_once(':').expect("a URL with a port");
        let port: u16 = port.parse().expect("a port");
        Self { http: format!("{host}:{}", port - 1), grpc: grpc.to_owned(), own: None }
    }

    /// Starts a server with a storage and ports of its own, and waits until it is ready.
    pub fn start(binary: &Path) -> Self {
        // Another process may have taken one of the ports meanwhile.
        for _ in 0..5 {
            let mut server = Self::prepare(binary);
            server.launch();
            if server.wait() {
                return server;
            }
        }
        panic!("{} does not start: its log is above", binary.display());
    }

    /// A server that is not started yet.
    pub(crate) fn prepare(binary: &Path) -> Self {
        let folder = tempfile::Builder::new().prefix("mnemon-qdrant-").tempdir().expect("a folder");
        let (http, grpc) = (ports::free(), ports::free());
        let storage = |name: &str| folder.path().join(name).display().to_string();
        let variables = vec![
            ("QDRANT__SERVICE__HOST", "127.0.0.1".to_owned()),
            ("QDRANT__SERVICE__HTTP_PORT", http.to_string()),
            ("QDRANT__SERVICE__GRPC_PORT", grpc.to_string()),
            ("QDRANT__STORAGE__STORAGE_PATH", storage("storage")),
            ("QDRANT__STORAGE__SNAPSHOTS_PATH", storage("snapshots")),
            // Tests make many collections; each would reserve 32 MB.
            ("QDRANT__STORAGE__WAL__WAL_CAPACITY_MB", "1".to_owned()),
            ("QDRANT__TELEMETRY_DISABLED", "true".to_owned()),
            ("QDRANT__LOG_LEVEL", "WARN".to_owned()),
        ];
        let own = Own { binary: binary.to_owned(), arguments: Vec::new(), variables, process: None, folder };
        Self { http: format!("http://127.0.0.1:{http}"), grpc: format!("http://127.0.0.1:{grpc}"), own: Some(own) }
    }

    /// Adds what a peer of a cluster is started with.
    pub(crate) fn configure(&mut self, arguments: Vec<String>, variables: Vec<(&'static str, String)>) {
        let own = self.own();
        own.arguments = arguments;
        own.variables.extend(variables);
    }

    /// Where gRPC is spoken: `http://127.0.0.1:…`.
    pub fn grpc_url(&self) -> &str {
        &self.grpc
    }

    /// Where REST is spoken: `http://127.0.0.1:…`.
    pub fn http_url(&self) -> &str {
        &self.http
    }

    /// Whether it is ours to kill.
    pub fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// The folder of a server of our own, with `storage` and `snapshots` in it.
    ///
    /// # Panics
    /// The server is not ours.
    pub fn folder(&self) -> &Path {
        self.own.as_ref().expect("a server of our own").folder.path()
    }

    /// SIGKILL; what was not on disk is lost.
    ///
    /// # Panics
    /// The server is not ours.
    pub fn kill(&mut self) {
        drop(self.own().process.take());
    }

    /// SIGTERM: it finishes what it is at and writes all to disk.
    ///
    /// # Panics
    /// The server is not ours.
    pub fn stop(&mut self) {
        if let Some(process) = self.own().process.take() {
            process.stop();
        }
    }

    /// Starts it again on the same storage and ports, and waits until it is ready.
    ///
    /// # Panics
    /// The server is not ours, or does not come back.
    pub fn start_again(&mut self) {
        self.kill();
        self.launch();
        assert!(self.wait(), "{} does not come back: its log is above", self.http);
    }

    /// Starts it and does not wait.
    pub(crate) fn launch(&mut self) {
        let own = self.own();
        let mut command = Command::new(&own.binary);
        command.args(&own.arguments).envs(own.variables.iter().cloned()).current_dir(own.folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit());
        let process = Guarded::start(&mut command, own.folder.path());
        own.process = Some(process);
    }

    /// Waits until it is ready; false if it ended instead.
    pub(crate) fn wait(&mut self) -> bool {
        let ready = format!("{}/readyz", self.http);
        let grpc = self.grpc.trim_start_matches("http://").to_owned();
        let until = Instant::now() + PATIENCE;
        while self.own().process.as_mut().is_some_and(Guarded::is_running) {
            if rest::request("GET", &ready, "text/plain", b"").is_ok() && TcpStream::connect(&grpc).is_ok() {
                return true;
            }
            assert!(Instant::now() < until, "{} is not ready after {PATIENCE:?}", self.http);
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }

    fn own(&mut self) -> &mut Own {
        self.own.as_mut().expect("a server of our own")
    }
}

/// The server that all tests of this process share, started when it is first asked for; `None` where the environment
/// names none. It is not for killing: names of collections must be [`unique`].
pub fn shared() -> Option<&'static Qdrant> {
    static SHARED: LazyLock<Option<Qdrant>> = LazyLock::new(|| {
        Some(match Qdrant::from_env()? {
            Given::Binary(binary) => Qdrant::start(&binary),
            Given::Url(url) => Qdrant::at(&url),
        })
    });
    SHARED.as_ref()
}

/// A name nobody else has: `prefix_…`.
pub fn unique(prefix: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    static START: LazyLock<String> = LazyLock::new(|| {
        let since = std::time::UNIX_EPOCH.elapsed().expect("a clock after 1970");
        format!("{:x}_{:x}", since.as_micros(), std::process::id())
    });
    format!("{prefix}_{}_{:x}", *START, COUNT.fetch_add(1, Ordering::Relaxed))
}
