//! Reads the vectors of an answer.

use serde::Deserialize;

#[derive(Deserialize)]
struct Answer {
    data: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    index: Option<usize>,
    embedding: Vec<f32>,
}

/// Reads the vectors, in the order of the texts.
///
/// # Errors
/// A description of the fault.
pub(super) fn vectors(body: &[u8], texts: usize) -> Result<Vec<Vec<f32>>, String> {
    let answer: Answer =
        serde_json::from_slice(body).map_err(|error| format!("something other than vectors ({error})"))?;
    let found = answer.data.len();
    if found != texts {
        return Err(format!("{found} vectors for {texts} texts"));
    }
    let mut vectors: Vec<Option<Vec<f32>>> = vec![None; texts];
    for (at, row) in answer.data.into_iter().enumerate() {
        match vectors.get_mut(row.index.unwrap_or(at)) {
            Some(slot @ None) => *slot = Some(row.embedding),
            _ => return Err(format!("indexes that do not match {texts} texts")),
        }
    }
    Ok(vectors.into_iter().flatten().collect())
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
    fn invalid_answers_are_rejected() {
        for (body, fault) in [
            (&b"<html>"[..], "something other than vectors"),
            (b"{}", "missing field `data`"),
            (br#"{"data": []}"#, "0 vectors for 2 texts"),
            (br#"{"data": [{"index": 0, "embedding": [1]}, {"index": 0, "embedding": [1]}]}"#, "indexes"),
            (br#"{"data": [{"index": 0, "embedding": [1]}, {"index": 2, "embedding": [1]}]}"#, "indexes"),
            (br#"{"data": [{"index": 0, "embedding": [1]}, {"index": 1, "embedding": [1e99]}]}"#, "out of range"),
            (br#"{"data": [{"index": 0, "embedding": "AAAA"}]}"#, "something other than vectors"),
        ] {
            let error = vectors(body, 2).unwrap_err();
            assert!(error.contains(fault), "{error}");
        }
    }
}
