//! A service on a port of its own, which keeps what it is asked and answers as a test says.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde_json::{Value, json};

/// What was asked.
#[derive(Clone)]
pub(crate) struct Asked {
    /// The first line.
    pub(crate) line: String,
    /// Header lines in lower case.
    pub(crate) headers: Vec<String>,
    pub(crate) body: Value,
    pub(crate) at: Instant,
}

impl Asked {
    pub(crate) fn texts(&self) -> Vec<&str> {
        self.body["input"].as_array().expect("a list").iter().map(|text| text.as_str().expect("a text")).collect()
    }
}

/// What is answered: a status line's end, header lines, and a body.
pub(crate) struct Reply {
    pub(crate) status: &'static str,
    pub(crate) headers: &'static str,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn new(status: &'static str, body: &Value) -> Self {
        Self { status, headers: "", body: body.to_string() }
    }

    pub(crate) fn refusal(status: &'static str, message: &str) -> Self {
        Self::new(status, &json!({"error": {"message": message, "type": "x", "code": null}}))
    }

    /// For each text what it is read as: numbers with spaces between.
    pub(crate) fn vectors(asked: &Asked) -> Self {
        let vector = |text: &str| text.split(' ').map(|word| word.parse().expect("a number")).collect::<Vec<f32>>();
        let mut data: Vec<Value> = asked
            .texts()
            .iter()
            .enumerate()
            .map(|(index, text)| json!({"object": "embedding", "index": index, "embedding": vector(text)}))
            .collect();
        data.reverse();
        Self::new("200 OK", &json!({"object": "list", "data": data}))
    }
}

type Answer = dyn Fn(usize, &Asked) -> Reply + Send + Sync;

/// Answers until the process ends.
pub(crate) struct Service {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Service {
    /// `answer` is told how many requests came before.
    pub(crate) fn start(answer: impl Fn(usize, &Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/v1", listener.local_addr().expect("an address"));
        let answer: Arc<Answer> = Arc::new(answer);
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, kept) = (Arc::clone(&answer), Arc::clone(&kept));
                std::thread::spawn(move || serve(&stream, &*answer, &kept));
            }
        });
        Self { url, asked }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no test panics here").clone()
    }
}

fn serve(stream: &TcpStream, answer: &Answer, kept: &Mutex<Vec<Asked>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let mut headers = Vec::new();
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            match header.trim() {
                "" => break,
                header => headers.push(header.to_owned()),
            }
        }
        let length = headers.iter().find_map(|header| {
            let (name, value) = header.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
        });
        let mut body = vec![0; length.unwrap_or(0)];
        reader.read_exact(&mut body)?;
        let body = serde_json::from_slice(&body).unwrap_or_default();
        let asked = Asked { line: line.trim().to_owned(), headers, body, at: Instant::now() };
        let before = {
            let mut kept = kept.lock().expect("no test panics here");
            kept.push(asked.clone());
            kept.len() - 1
        };
        let Reply { status, headers, body } = answer(before, &asked);
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
        (&mut &*stream).write_all((head + &body).as_bytes())?;
    }
}
