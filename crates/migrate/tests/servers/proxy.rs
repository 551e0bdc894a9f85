//! A way to a server that goes wrong as it is told.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A request on its way, and then the answer to it.
pub(crate) struct Passing {
    /// Method and path.
    pub(crate) line: String,
    /// Headers that are passed on, a line each.
    pub(crate) headers: Vec<String>,
    /// Head and body of the answer; empty until it came. What is cut from it, the client never sees.
    pub(crate) answer: Vec<u8>,
}

impl Passing {
    /// Whether it is the download of a snapshot.
    pub(crate) fn is_download(&self) -> bool {
        self.line.starts_with("GET ") && self.line.ends_with(".snapshot")
    }

    /// Where the body begins.
    pub(crate) fn body(&self) -> usize {
        self.answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap() + 4
    }
}

type Meddle = dyn Fn(&mut Passing) + Send + Sync;

/// A proxy; it works until the process ends.
pub(crate) struct Proxy {
    url: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Passes requests on to a URL. `meddle` is called with each request and again with its answer.
    pub(crate) fn start(upstream: &str, meddle: impl Fn(&mut Passing) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let upstream = upstream.strip_prefix("http://").unwrap().to_owned();
        let meddle: Arc<Meddle> = Arc::new(meddle);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (upstream, meddle, told) = (upstream.clone(), Arc::clone(&meddle), Arc::clone(&told));
                // An end of the connection in the middle of a request is the client's.
                std::thread::spawn(move || sync(stream, &upstream, &*meddle, &told));
            }
        });
        Self { url, seen }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Requests that came, with their range.
    pub(crate) fn seen(&self, part: &str) -> Vec<String> {
        self.seen.lock().unwrap().iter().filter(|line| line.contains(part)).cloned().collect()
    }
}

fn sync(stream: TcpStream, upstream: &str, meddle: &Meddle, seen: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut passing = Passing {
        line: line.trim_end().trim_end_matches(" HTTP/1.1").to_owned(),
        headers: Vec::new(),
        answer: Vec::new(),
    };
    let mut length = 0;
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header)? == 0 || header.trim().is_empty() {
            break;
        }
        let lower = header.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if !lower.starts_with("connection:") {
            passing.headers.push(header.trim_end().to_owned());
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    meddle(&mut passing);
    let range = passing.headers.iter().find(|header| header.to_ascii_lowercase().starts_with("range:"));
    seen.lock().unwrap().push(format!("{} {}", passing.line, range.map_or("", String::as_str)));
    let mut server = TcpStream::connect(upstream)?;
    let headers = passing.headers.join("\r\n");
    server.write_all(format!("{} HTTP/1.1\r\n{headers}\r\nConnection: close\r\n\r\n", passing.line).as_bytes())?;
    server.write_all(&body)?;
    server.read_to_end(&mut passing.answer)?;
    meddle(&mut passing);
    reader.into_inner().write_all(&passing.answer)
}
