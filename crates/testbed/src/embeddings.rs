//! An endpoint with OpenAI's `POST /v1/embeddings`, which lets other programs use an embedder.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

type Embed = dyn Fn(&[&str]) -> Vec<Vec<f32>> + Send + Sync;

/// The endpoint. It answers until the process ends.
#[derive(Debug)]
pub struct EmbeddingsEndpoint {
    url: String,
}

impl EmbeddingsEndpoint {
    /// Starts an endpoint on a free port.
    pub fn start(embed: impl Fn(&[&str]) -> Vec<Vec<f32>> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/v1", listener.local_addr().expect("an address"));
        let embed: Arc<Embed> = Arc::new(embed);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let embed = Arc::clone(&embed);
                // Errors are ignored: a client may close the connection in the middle of a request.
                std::thread::spawn(move || serve(&stream, &*embed));
            }
        });
        Self { url }
    }

    /// The base URL, in place of OpenAI's.
    pub fn url(&self) -> &str {
        &self.url
    }
}

/// Answers the requests of a connection, one after the other.
fn serve(stream: &TcpStream, embed: &Embed) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let mut length = 0;
        let last = line.trim_end().ends_with("HTTP/1.0");
        let mut header = String::new();
        while reader.read_line(&mut header)? > 0 && !header.trim().is_empty() {
            if let Some((name, value)) = header.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap_or(0);
            }
            header.clear();
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let (status, answer) = match line.strip_prefix("POST /v1/embeddings ") {
            Some(_) => answer(&body, embed),
            None => ("404 Not Found", refusal("the only route is POST /v1/embeddings")),
        };
        let answer = answer.to_string();
        let head =
            format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", answer.len());
        (&mut &*stream).write_all((head + &answer).as_bytes())?;
        if last {
            return Ok(());
        }
    }
}

fn answer(body: &[u8], embed: &Embed) -> (&'static str, Value) {
    const BAD: &str = "400 Bad Request";
    let Ok(request) = serde_json::from_slice::<Value>(body) else { return (BAD, refusal("invalid JSON")) };
    let texts: Option<Vec<&str>> = match &request["input"] {
        Value::String(text) => Some(vec![text]),
        Value::Array(texts) => texts.iter().map(Value::as_str).collect(),
        _ => None,
    };
    let Some(texts) = texts else { return (BAD, refusal("input must be a string or a list of strings")) };
    let vectors = embed(&texts);
    let wanted = request["dimensions"].as_u64();
    if let Some((wanted, vector)) = wanted.zip(vectors.first())
        && wanted != vector.len() as u64
    {
        return (BAD, refusal(&format!("this embedder has {} dimensions, not {wanted}", vector.len())));
    }
    let encoded = |vector: &Vec<f32>| match request["encoding_format"].as_str() {
        Some("base64") => {
            let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
            json!(BASE64_STANDARD.encode(bytes))
        }
        _ => json!(vector),
    };
    let data: Vec<Value> = vectors
        .iter()
        .enumerate()
        .map(|(index, vector)| json!({"object": "embedding", "index": index, "embedding": encoded(vector)}))
        .collect();
    let usage = json!({"prompt_tokens": 0, "total_tokens": 0});
    ("200 OK", json!({"object": "list", "data": data, "model": request["model"], "usage": usage}))
}

fn refusal(message: &str) -> Value {
    json!({"error": {"message": message, "type": "invalid_request_error", "param": null, "code": null}})
}
