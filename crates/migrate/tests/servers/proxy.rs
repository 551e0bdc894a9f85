//! A proxy that changes requests and responses, to test failures.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A request, and later its response.
pub(crate) struct Exchange {
    /// The method and path.
    pub(crate) line: String,
    /// The headers that are forwarded, one in each line.
    pub(crate) headers: Vec<String>,
    /// The head and body of the response; empty until it has arrived. The client gets only this.
    pub(crate) response: Vec<u8>,
}

impl Exchange {
    /// Whether this is the download of a snapshot.
    pub(crate) fn is_download(&self) -> bool {
        self.line.starts_with("GET ") && self.line.ends_with(".snapshot")
    }

    /// The start of the response body.
    pub(crate) fn body(&self) -> usize {
        self.response.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap() + 4
    }
}

type Change = dyn Fn(&mut Exchange) + Send + Sync;

/// A proxy that runs until the process ends.
pub(crate) struct Proxy {
    url: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Forwards requests to a URL. `change` is called with each request and again with its response.
    pub(crate) fn start(upstream: &str, change: impl Fn(&mut Exchange) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let upstream = upstream.strip_prefix("http://").unwrap().to_owned();
        let change: Arc<Change> = Arc::new(change);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let requests = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (upstream, change, requests) = (upstream.clone(), Arc::clone(&change), Arc::clone(&requests));
                // An error means that the client closed the connection during the request.
                std::thread::spawn(move || forward(stream, &upstream, &*change, &requests));
            }
        });
        Self { url, seen }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The requests received that contain a text, with their range header.
    pub(crate) fn seen(&self, part: &str) -> Vec<String> {
        self.seen.lock().unwrap().iter().filter(|line| line.contains(part)).cloned().collect()
    }
}

fn forward(stream: TcpStream, upstream: &str, change: &Change, seen: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut exchange = Exchange {
        line: line.trim_end().trim_end_matches(" HTTP/1.1").to_owned(),
        headers: Vec::new(),
        response: Vec::new(),
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
            exchange.headers.push(header.trim_end().to_owned());
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    change(&mut exchange);
    let range = exchange.headers.iter().find(|header| header.to_ascii_lowercase().starts_with("range:"));
    seen.lock().unwrap().push(format!("{} {}", exchange.line, range.map_or("", String::as_str)));
    let mut server = TcpStream::connect(upstream)?;
    let headers = exchange.headers.join("\r\n");
    server.write_all(format!("{} HTTP/1.1\r\n{headers}\r\nConnection: close\r\n\r\n", exchange.line).as_bytes())?;
    server.write_all(&body)?;
    server.read_to_end(&mut exchange.response)?;
    change(&mut exchange);
    reader.into_inner().write_all(&exchange.response)
}
