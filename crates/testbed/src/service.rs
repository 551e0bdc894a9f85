//! A fake service on a free port, which records its requests and answers them as the test defines.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde_json::{Value, json};

/// A recorded request.
#[derive(Clone, Debug)]
pub struct ReceivedRequest {
    /// The request line.
    pub line: String,
    /// Header lines in lower case.
    pub headers: Vec<String>,
    /// The body, which is JSON.
    pub body: Value,
    /// When it arrived.
    pub at: Instant,
}

impl ReceivedRequest {
    /// Whether it asks for embeddings.
    pub fn is_for_embeddings(&self) -> bool {
        !self.body["input"].is_null()
    }

    /// The texts that it contains: those to embed, or those of its messages.
    pub fn all_texts(&self) -> Vec<&str> {
        if self.is_for_embeddings() {
            return self.texts();
        }
        let messages = self.body["messages"].as_array().into_iter().flatten();
        messages.filter_map(|message| message["content"].as_str()).collect()
    }

    /// The texts of a request for embeddings.
    ///
    /// # Panics
    /// If it is another request.
    pub fn texts(&self) -> Vec<&str> {
        match &self.body["input"] {
            Value::String(text) => vec![text],
            texts => texts.as_array().expect("a list").iter().map(|text| text.as_str().expect("a text")).collect(),
        }
    }
}

/// An answer: status, header lines, and body.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Such as `200 OK`. Without a status the connection is closed instead of an answer.
    pub status: &'static str,
    /// Header lines, each with its line break. With a `Connection: close` the connection is closed after the body, which may
    /// be shorter than a length among the headers.
    pub headers: &'static str,
    /// The body.
    pub body: String,
}

impl Reply {
    /// An answer with JSON.
    pub fn new(status: &'static str, body: &Value) -> Self {
        Self { status, headers: "", body: body.to_string() }
    }

    /// An error in OpenAI's format.
    pub fn refusal(status: &'static str, message: &str) -> Self {
        Self::new(status, &json!({"error": {"message": message, "type": "x", "code": null}}))
    }

    /// A chat completion, complete or streamed word by word, as requested.
    pub fn chat(request: &ReceivedRequest, text: &str) -> Self {
        Self::chat_cut(request, text, "stop")
    }

    /// The same with another `finish_reason`.
    pub fn chat_cut(request: &ReceivedRequest, text: &str, finish: &str) -> Self {
        if request.body["stream"] != true {
            let choice =
                json!({"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish});
            return Self::new("200 OK", &json!({"object": "chat.completion", "choices": [choice]}));
        }
        let event = |delta: Value, finish: Value| {
            let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
            format!("data: {}\n\n", json!({"object": "chat.completion.chunk", "choices": [choice]}))
        };
        let words = text.split_inclusive(' ').map(|word| event(json!({"content": word}), Value::Null));
        let body = words.chain([event(json!({}), finish.into()), "data: [DONE]\n\n".to_owned()]).collect();
        Self { status: "200 OK", headers: "Content-Type: text/event-stream\r\n", body }
    }

    /// Embeddings: each text must be a list of numbers separated by spaces, which is its vector.
    ///
    /// # Panics
    /// If a text is not such a list.
    pub fn vectors(request: &ReceivedRequest) -> Self {
        let vector = |text: &str| text.split(' ').map(|word| word.parse().expect("a number")).collect::<Vec<f32>>();
        let mut data: Vec<Value> = request
            .texts()
            .iter()
            .enumerate()
            .map(|(index, text)| json!({"object": "embedding", "index": index, "embedding": vector(text)}))
            .collect();
        data.reverse();
        Self::new("200 OK", &json!({"object": "list", "data": data}))
    }
}

type Answer = dyn Fn(usize, &ReceivedRequest) -> Reply + Send + Sync;

/// A fake service. It answers until the process ends.
#[derive(Debug)]
pub struct FakeService {
    /// The base URL, which ends with `/v1`.
    pub url: String,
    requests: Arc<Mutex<Vec<ReceivedRequest>>>,
}

impl FakeService {
    /// Starts the service on a free port. `answer` gets the number of earlier requests and the request.
    ///
    /// # Panics
    /// If no port is free.
    pub fn start(answer: impl Fn(usize, &ReceivedRequest) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/v1", listener.local_addr().expect("an address"));
        let answer: Arc<Answer> = Arc::new(answer);
        let requests = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, log) = (Arc::clone(&answer), Arc::clone(&log));
                std::thread::spawn(move || serve(&stream, &*answer, &log));
            }
        });
        Self { url, requests }
    }

    /// The requests so far.
    ///
    /// # Panics
    /// Never: no thread panics while it holds the lock.
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.requests.lock().expect("no test panics here").clone()
    }
}

fn serve(stream: &TcpStream, answer: &Answer, log: &Mutex<Vec<ReceivedRequest>>) -> std::io::Result<()> {
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
        let request = ReceivedRequest { line: line.trim().to_owned(), headers, body, at: Instant::now() };
        let before = {
            let mut log = log.lock().expect("no test panics here");
            log.push(request.clone());
            log.len() - 1
        };
        let Reply { status, headers, body } = answer(before, &request);
        if status.is_empty() {
            return Ok(());
        }
        let has = |name: &str| headers.to_lowercase().contains(name);
        let length = match has("content-length") || has("transfer-encoding") {
            true => String::new(),
            false => format!("Content-Length: {}\r\n", body.len()),
        };
        let head = format!("HTTP/1.1 {status}\r\n{length}{headers}\r\n");
        (&mut &*stream).write_all((head + &body).as_bytes())?;
        if has("connection: close") {
            return Ok(());
        }
    }
}
