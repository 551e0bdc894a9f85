//! A Qdrant server: an existing one, or one that the test starts and can kill.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::guard::ChildGuard;
use crate::{ports, rest};

/// The variable that names a Qdrant: the path of its binary, or `http://host:6334` with the gRPC port of a server whose HTTP
/// port is one lower.
pub const QDRANT: &str = "MNEMON_TEST_QDRANT";

/// How long a server may take to become ready.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// The value of [`QDRANT`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TestQdrant {
    /// A binary: tests start their own servers.
    Binary(PathBuf),
    /// The gRPC URL of a running server: tests that kill their server are ignored.
    Url(String),
}

/// A Qdrant server. A server that this process started is killed when this is dropped, and its folder is removed.
#[derive(Debug)]
pub struct Qdrant {
    http: String,
    grpc: String,
    own: Option<Own>,
}

/// A server that this process has started.
#[derive(Debug)]
struct Own {
    binary: PathBuf,
    arguments: Vec<String>,
    variables: Vec<(&'static str, String)>,
    process: Option<ChildGuard>,
    folder: TempDir,
}

impl Qdrant {
    /// The Qdrant that the environment names, if it names one.
    pub fn from_env() -> Option<TestQdrant> {
        let value = std::env::var(QDRANT).ok().filter(|value| !value.is_empty())?;
        Some(if value.starts_with("http://") { TestQdrant::Url(value) } else { TestQdrant::Binary(value.into()) })
    }

    /// An existing server with this gRPC URL. Its HTTP port is one lower.
    pub fn at(grpc: &str) -> Self {
        let grpc = grpc.trim_end_matches('/');
        let (host, port) = grpc.rsplit_once(':').expect("a URL with a port");
        let port: u16 = port.parse().expect("a port");
        Self { http: format!("{host}:{}", port - 1), grpc: grpc.to_owned(), own: None }
    }

    /// Starts a server with new storage and free ports, and waits until it is ready.
    pub fn start(binary: &Path) -> Self {
        // Another process may have taken one of the ports in the meantime.
        for _ in 0..5 {
            let mut server = Self::prepare(binary);
            server.launch();
            if server.wait() {
                return server;
            }
        }
        panic!("{} did not start: see its log above", binary.display());
    }

    /// Prepares a server without starting it.
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
            // Tests create many collections, and each would reserve 32 MB.
            ("QDRANT__STORAGE__WAL__WAL_CAPACITY_MB", "1".to_owned()),
            ("QDRANT__TELEMETRY_DISABLED", "true".to_owned()),
            ("QDRANT__LOG_LEVEL", "WARN".to_owned()),
        ];
        let own = Own { binary: binary.to_owned(), arguments: Vec::new(), variables, process: None, folder };
        Self { http: format!("http://127.0.0.1:{http}"), grpc: format!("http://127.0.0.1:{grpc}"), own: Some(own) }
    }

    /// Adds the arguments and variables of a peer of a cluster.
    pub(crate) fn configure(&mut self, arguments: Vec<String>, variables: Vec<(&'static str, String)>) {
        let own = self.own();
        own.arguments = arguments;
        own.variables.extend(variables);
    }

    /// The URL for gRPC: `http://127.0.0.1:…`.
    pub fn grpc_url(&self) -> &str {
        &self.grpc
    }

    /// The URL for REST: `http://127.0.0.1:…`.
    pub fn http_url(&self) -> &str {
        &self.http
    }

    /// Whether this process started the server, and so may kill it.
    pub fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// The folder of a server that this process started, with `storage` and `snapshots`.
    ///
    /// # Panics
    /// If this process did not start the server.
    pub fn folder(&self) -> &Path {
        self.own.as_ref().expect("a server that this process started").folder.path()
    }

    /// Kills the server with SIGKILL; data that is not on disk is lost.
    ///
    /// # Panics
    /// If this process did not start the server.
    pub fn kill(&mut self) {
        drop(self.own().process.take());
    }

    /// Stops the server with SIGTERM: it finishes its requests and writes all data to disk.
    ///
    /// # Panics
    /// If this process did not start the server.
    pub fn stop(&mut self) {
        if let Some(process) = self.own().process.take() {
            process.stop();
        }
    }

    /// Restarts the server with the same storage and ports, and waits until it is ready.
    ///
    /// # Panics
    /// If this process did not start the server, or it does not start again.
    pub fn start_again(&mut self) {
        self.kill();
        self.launch();
        assert!(self.wait(), "{} did not restart: see its log above", self.http);
    }

    /// Starts the server without waiting until it is ready.
    pub(crate) fn launch(&mut self) {
        let own = self.own();
        let mut command = Command::new(&own.binary);
        command.args(&own.arguments).envs(own.variables.iter().cloned()).current_dir(own.folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit());
        let process = ChildGuard::start(&mut command, own.folder.path());
        own.process = Some(process);
    }

    /// Waits until the server is ready; false if it exited.
    pub(crate) fn wait(&mut self) -> bool {
        let ready = format!("{}/readyz", self.http);
        let grpc = self.grpc.trim_start_matches("http://").to_owned();
        let deadline = Instant::now() + START_TIMEOUT;
        while self.own().process.as_mut().is_some_and(ChildGuard::is_running) {
            if rest::request("GET", &ready, "text/plain", b"").is_ok() && TcpStream::connect(&grpc).is_ok() {
                return true;
            }
            assert!(Instant::now() < deadline, "{} is not ready after {START_TIMEOUT:?}", self.http);
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }

    fn own(&mut self) -> &mut Own {
        self.own.as_mut().expect("a server that this process started")
    }
}

/// The server that all tests of this process share, started on first use; `None` if the environment names none. It must not
/// be killed, and the names of collections must be [`unique`].
pub fn shared() -> Option<&'static Qdrant> {
    static SHARED: LazyLock<Option<Qdrant>> = LazyLock::new(|| {
        Some(match Qdrant::from_env()? {
            TestQdrant::Binary(binary) => Qdrant::start(&binary),
            TestQdrant::Url(url) => Qdrant::at(&url),
        })
    });
    SHARED.as_ref()
}

/// A unique name: `prefix_…`.
pub fn unique(prefix: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    static START: LazyLock<String> = LazyLock::new(|| {
        let since = std::time::UNIX_EPOCH.elapsed().expect("a clock after 1970");
        format!("{:x}_{:x}", since.as_micros(), std::process::id())
    });
    format!("{prefix}_{}_{:x}", *START, COUNT.fetch_add(1, Ordering::Relaxed))
}
