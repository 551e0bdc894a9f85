//! What a service answers: vectors, or why there are none.

use serde::Deserialize;

/// A refusal is read up to here, in bytes.
pub(super) const MAX_REFUSAL: usize = 64 << 10;
/// What is told of one, in characters.
const TOLD: usize = 300;

#[derive(Deserialize)]
struct Answer {
    data: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    index: Option<usize>,
    embedding: Vec<f32>,
}

/// Vectors in the order of the texts, or what is wrong with the answer.
pub(super) fn vectors(body: &[u8], texts: usize) -> Result<Vec<Vec<f32>>, String> {
    let answer: Answer =
        serde_json::from_slice(body).map_err(|error| format!("something else than vectors ({error})"))?;
    let found = answer.data.len();
    if found != texts {
        return Err(format!("{found} vectors for {texts} texts"));
    }
    let mut vectors: Vec<Option<Vec<f32>>> = vec![None; texts];
    for (at, row) in answer.data.into_iter().enumerate() {
        match vectors.get_mut(row.index.unwrap_or(at)) {
            Some(slot @ None) => *slot = Some(row.embedding),
            _ => return Err(format!("indexes that are not those of {texts} texts")),
        }
    }
    Ok(vectors.into_iter().flatten().collect())
}

/// Why a service refused.
#[derive(Default)]
pub(super) struct Refusal {
    /// Its words, in one line.
    pub(super) message: String,
    /// Its name for it.
    code: String,
}

impl Refusal {
    /// Reads `{"error": {"message", "code"}}` and what others make of it.
    pub(super) fn parse(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let json: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        let error = &json["error"];
        let found = [&error["message"], error, &json["message"], &json["detail"]].into_iter().find_map(|v| v.as_str());
        // A page for browsers tells nothing.
        let plain = if json.is_null() && !text.trim_start().starts_with('<') { text.as_ref() } else { "" };
        let message = found.unwrap_or(plain).split_whitespace().collect::<Vec<_>>().join(" ");
        let code = error["code"].as_str().unwrap_or_default().to_owned();
        Self { message: super::batches::cut(&message, TOLD).to_owned(), code }
    }

    /// Whether there is nothing left to pay with, which no second try mends.
    pub(super) fn is_about_money(&self) -> bool {
        self.code == "insufficient_quota"
    }

    /// Whether the texts were too long, alone or together.
    pub(super) fn is_about_length(&self) -> bool {
        let message = self.message.to_lowercase();
        ["token", "too long", "too large", "context length", "maximum length", "sequence length", "input length"]
            .iter()
            .any(|word| message.contains(word))
            // A token may also be the key.
            && !message.contains("auth")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_come_in_the_order_of_their_texts() {
        let body = br#"{"data": [{"index": 1, "embedding": [2]}, {"index": 0, "embedding": [1.0]}], "usage": {}}"#;
        assert_eq!(vectors(body, 2).unwrap(), [[1.0], [2.0]]);
        let body = br#"{"data": [{"embedding": [1]}, {"embedding": [2]}]}"#;
        assert_eq!(vectors(body, 2).unwrap(), [[1.0], [2.0]]);
    }

    #[test]
    fn what_is_no_answer_is_told() {
        for (body, told) in [
            (&b"<html>"[..], "something else than vectors"),
            (b"{}", "missing field `data`"),
            (br#"{"data": []}"#, "0 vectors for 2 texts"),
            (br#"{"data": [{"index": 0, "embedding": [1]}, {"index": 0, "embedding": [1]}]}"#, "indexes"),
            (br#"{"data": [{"index": 0, "embedding": [1]}, {"index": 2, "embedding": [1]}]}"#, "indexes"),
            (br#"{"data": [{"index": 0, "embedding": [1]}, {"index": 1, "embedding": [1e99]}]}"#, "out of range"),
            (br#"{"data": [{"index": 0, "embedding": "AAAA"}]}"#, "something else than vectors"),
        ] {
            let error = vectors(body, 2).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
    }

    #[test]
    fn a_refusal_is_found_wherever_it_stands() {
        for (body, told) in [
            (r#"{"error": {"message": "no\n such model", "code": "x"}}"#, "no such model"),
            (r#"{"error": "model not found"}"#, "model not found"),
            (r#"{"detail": "Not Found"}"#, "Not Found"),
            ("upstream connect error", "upstream connect error"),
            ("<html><body>502</body></html>", ""),
            ("", ""),
        ] {
            assert_eq!(Refusal::parse(body.as_bytes()).message, told);
        }
        let about = |message: &str| Refusal { message: message.into(), code: String::new() }.is_about_length();
        assert!(about("This model's maximum context length is 8192 tokens"));
        assert!(about("the input length exceeds the context length"));
        assert!(!about("invalid auth token"));
        assert!(!about("unknown field `encoding_format`"));
    }
}
