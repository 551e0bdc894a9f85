//! Reads the vectors of an answer.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

#[derive(Deserialize)]
struct Answer {
    data: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    index: Option<usize>,
    embedding: Numbers,
}

/// A vector as a list of numbers or, although floats were requested, in base64; `None` if it has no direction: with numbers
/// that are not finite, which a model gives that overflows, or with zeros only.
struct Numbers(Option<Vec<f32>>);

impl<'de> Deserialize<'de> for Numbers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumbersVisitor)
    }
}

struct NumbersVisitor;

impl<'de> Visitor<'de> for NumbersVisitor {
    type Value = Numbers;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of numbers or base64")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Numbers, A::Error> {
        let (mut numbers, mut has_null) = (Vec::new(), false);
        while let Some(number) = list.next_element::<Option<f32>>()? {
            has_null |= number.is_none();
            numbers.push(number.unwrap_or_default());
        }
        Ok(Numbers((!has_null).then_some(numbers)))
    }

    /// Little-endian f32.
    fn visit_str<E: Error>(self, text: &str) -> Result<Numbers, E> {
        let bytes = BASE64_STANDARD.decode(text.trim()).map_err(|_| E::custom("the text is not base64"))?;
        let (numbers, []) = bytes.as_chunks::<4>() else {
            return Err(E::custom(format!("{} bytes of base64 are not a vector", bytes.len())));
        };
        let numbers: Vec<f32> = numbers.iter().map(|number| f32::from_le_bytes(*number)).collect();
        Ok(Numbers(Some(numbers).filter(|numbers| numbers.iter().all(|number| number.is_finite()))))
    }
}

/// Why an answer can't be used.
#[derive(Debug, PartialEq)]
pub(super) enum Fault {
    /// It has another number of vectors than the request has texts.
    Count(String),
    /// Another fault, as the end of a sentence that begins with "it answered".
    Other(String),
}

/// The vectors of texts, in their order; `None` for a text whose vector has no direction.
pub(super) type Vectors = Vec<Option<Vec<f32>>>;

/// Reads the vectors of an answer.
pub(super) fn vectors(body: &[u8], texts: usize) -> Result<Vectors, Fault> {
    let rows = match serde_json::from_slice::<Answer>(body) {
        Ok(answer) => answer.data,
        Err(error) => {
            other_form(body).ok_or_else(|| Fault::Other(format!("something other than vectors ({error})")))?
        }
    };
    if rows.len() != texts {
        return Err(Fault::Count(format!("{} vectors for {texts} texts", rows.len())));
    }
    // Some services write the same index everywhere.
    let is_ordered = rows.iter().any(|row| row.index != rows[0].index);
    let mut vectors: Vec<Option<Option<Vec<f32>>>> = vec![None; texts];
    for (at, row) in rows.into_iter().enumerate() {
        match vectors.get_mut(row.index.filter(|_| is_ordered).unwrap_or(at)) {
            Some(slot @ None) => *slot = Some(row.embedding.0.filter(|numbers| has_direction(numbers))),
            _ => return Err(Fault::Other(format!("indexes that do not match {texts} texts"))),
        }
    }
    Ok(vectors.into_iter().flatten().collect())
}

/// Whether a vector is not all zeros. An empty one shows its length when it is compared with the others.
fn has_direction(numbers: &[f32]) -> bool {
    numbers.is_empty() || numbers.iter().any(|number| *number != 0.0)
}

/// The vectors of an answer in the form of another API: under another key, or each in a separate list. Numbers that are out
/// of range or no numbers make a vector unusable.
fn other_form(body: &[u8]) -> Option<Vec<Row>> {
    let json: Value = serde_json::from_slice(body).ok().or_else(|| {
        // Python writes these words, which are not JSON.
        let text = std::str::from_utf8(body).ok()?;
        let text =
            ["-Infinity", "Infinity", "NaN"].iter().fold(text.to_owned(), |text, word| text.replace(word, "null"));
        serde_json::from_str(&text).ok()
    })?;
    let list = ["data", "embeddings", "embedding"].iter().find_map(|key| json.get(*key)?.as_array());
    let list = list.or(json.as_array())?;
    let row = |row: &Value| {
        let index = row.get("index").and_then(Value::as_u64).and_then(|index| usize::try_from(index).ok());
        let embedding = row.get("embedding").unwrap_or(row);
        if embedding.is_string() {
            return Some(Row { index, embedding: serde_json::from_value(embedding.clone()).ok()? });
        }
        let mut numbers = embedding.as_array()?;
        if let [Value::Array(inner)] = numbers.as_slice() {
            numbers = inner;
        }
        if !numbers.iter().all(|number| number.is_number() || number.is_null()) {
            return None;
        }
        let finite = |number: &Value| Some(number.as_f64()? as f32).filter(|number| number.is_finite());
        Some(Row { index, embedding: Numbers(numbers.iter().map(finite).collect()) })
    };
    // One vector that is not in a list.
    if list.first().is_some_and(Value::is_number) {
        return Some(vec![row(&Value::Array(list.clone()))?]);
    }
    list.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_come_in_the_order_of_their_texts() {
        let two = [Some(vec![1.0]), Some(vec![2.0])];
        for body in [
            &br#"{"data": [{"index": 1, "embedding": [2]}, {"index": 0, "embedding": [1.0]}], "usage": {}}"#[..],
            br#"{"data": [{"embedding": [1]}, {"embedding": [2]}]}"#,
            br#"{"data": [{"embedding": "AACAPw=="}, {"embedding": [2]}]}"#,
        ] {
            assert_eq!(vectors(body, 2).unwrap(), two);
        }
        let body = br#"{"data": [{"embedding": [1, null]}, {"embedding": "AADAfw=="}]}"#;
        assert_eq!(vectors(body, 2).unwrap(), [None, None]);
        let body = br#"{"data": [{"embedding": [0, -0.0]}, {"embedding": "AAAAAAAAAAA="}]}"#;
        assert_eq!(vectors(body, 2).unwrap(), [None, None]);
        assert_eq!(vectors(br#"{"embeddings": [[0.0, 0], [0, 1e-9]]}"#, 2).unwrap(), [None, Some(vec![0.0, 1e-9])]);
        let body = br#"{"data": [{"embedding": [1, 1e99]}, {"embedding": [NaN, 1]}]}"#;
        assert_eq!(vectors(body, 2).unwrap(), [None, None]);
    }

    #[test]
    fn vectors_come_in_the_forms_of_other_apis() {
        let two = [Some(vec![1.0]), Some(vec![2.0])];
        for body in [
            &br#"{"data": [{"index": 0, "embedding": [1]}, {"index": 0, "embedding": [2]}]}"#[..],
            br#"{"data": [{"embedding": [[1]]}, {"embedding": [[2]]}]}"#,
            br#"{"embeddings": [[1], [2]]}"#,
            br#"[[1], [2]]"#,
            br#"[{"index": 0, "embedding": [[1]]}, {"index": 1, "embedding": [[2]]}]"#,
        ] {
            assert_eq!(vectors(body, 2).unwrap(), two, "{}", String::from_utf8_lossy(body));
        }
        assert_eq!(vectors(br#"{"embedding": [1, 2]}"#, 1).unwrap(), [Some(vec![1.0, 2.0])]);
    }

    #[test]
    fn invalid_answers_are_rejected() {
        for (body, fault) in [
            (&b"<html>"[..], "something other than vectors"),
            (b"{}", "missing field `data`"),
            (br#"{"data": []}"#, "0 vectors for 2 texts"),
            (br#"{"data": [{"index": 1, "embedding": [1]}, {"embedding": [1]}]}"#, "indexes"),
            (br#"{"data": [{"index": 0, "embedding": [1]}, {"index": 2, "embedding": [1]}]}"#, "indexes"),
            (br#"{"data": [{"embedding": [1]}, {"embedding": [true]}]}"#, "something other"),
            (br#"{"data": [{"index": 0, "embedding": "AAAA"}, {"embedding": [1]}]}"#, "3 bytes"),
            (br#"{"data": [{"index": 0, "embedding": "??"}, {"embedding": [1]}]}"#, "not base64"),
        ] {
            let (Fault::Count(error) | Fault::Other(error)) = vectors(body, 2).unwrap_err();
            assert!(error.contains(fault), "{error}");
        }
    }
}
