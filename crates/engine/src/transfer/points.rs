//! Points of a mem0 collection, as `{"id", "payload", "vector"?}` a line: ids and payloads stay, what search needs is added.

use std::path::Path;

use mnemon_store::{Change, MemoryId, Payload, StoreError};
use serde_json::Value;

use super::import::for_each_line;
use super::{ImportFormat, ImportReport, RejectedRecord};
use crate::add::{check_depth, check_length};
use crate::analyse::embedding_text;
use crate::{Engine, ForeignPoint, Result, embed_mentions, enrich};

/// Points in one commit.
const POINTS: usize = 256;

struct Point {
    line: usize,
    id: MemoryId,
    payload: Payload,
    vector: Option<Vec<f32>>,
}

impl Engine {
    pub(super) fn import_points(&self, path: &Path, progress: &mut dyn FnMut(usize)) -> Result<ImportReport> {
        let mut imported = ImportReport::new(ImportFormat::Points);
        let dims = self.store.info()?.dims;
        let mut points = Vec::with_capacity(POINTS);
        for_each_line(path, |line, text| {
            match text.map_err(str::to_owned).and_then(|text| point(line, text, dims)) {
                Ok(point) => points.push(point),
                Err(reason) => imported.refused.push(RejectedRecord { line, reason }),
            }
            if points.len() == POINTS {
                self.store_points(std::mem::take(&mut points), &mut imported)?;
            }
            progress(line);
            Ok(())
        })?;
        self.store_points(points, &mut imported)?;
        Ok(imported)
    }

    fn store_points(&self, points: Vec<Point>, imported: &mut ImportReport) -> Result<()> {
        let mut new = Vec::with_capacity(points.len());
        let mut lines = Vec::with_capacity(points.len());
        for point in points {
            let vector = match point.vector {
                Some(vector) => vector,
                // Nothing said, nothing found: the zero vector is near to nothing.
                None if point.payload.text().is_empty() => vec![0.0; self.embedder.dims()],
                None => self.embed(&[&embedding_text(&point.payload)])?.pop().unwrap_or_default(),
            };
            new.push(ForeignPoint { id: point.id, payload: point.payload, vector });
            lines.push(point.line);
        }
        let mut changes = Vec::with_capacity(new.len());
        let mut seen = std::collections::HashSet::new();
        let mut records = enrich(new);
        embed_mentions(&mut records, Some(&*self.embedder))?;
        for (record, line) in records.into_iter().zip(lines) {
            let id = record.memory.id;
            let existing = self.store.get(&[id])?.pop().flatten();
            if existing.is_none() && seen.insert(id) {
                changes.push(Change::Insert(Box::new(record)));
            } else if existing.is_some_and(|existing| existing.payload == record.memory.payload) {
                imported.unchanged += 1;
            } else {
                let reason = format!("{}; it was left as it is", StoreError::Exists(id));
                imported.refused.push(RejectedRecord { line, reason });
            }
        }
        imported.stored.memories += changes.len();
        let there = self.insert_new(changes)?;
        imported.stored.memories -= there;
        imported.unchanged += there;
        Ok(())
    }
}

fn point(line: usize, text: &str, dims: usize) -> Result<Point, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| format!("no JSON: {error}"))?;
    let Value::Object(mut map) = value else { return Err("no JSON object".into()) };
    let id = map.get("id").ok_or("the point has no `id`")?;
    let id = MemoryId::from_value(id).map_err(|error| error.to_string())?;
    let Some(Value::Object(payload)) = map.remove("payload") else { return Err("`payload` is no object".into()) };
    let payload = Payload::new(payload);
    check_length(payload.text()).map_err(|fault| format!("the text {fault}"))?;
    check_depth(payload.as_map()).map_err(|fault| format!("the payload {fault}"))?;
    let vector = match map.get("vector") {
        None | Some(Value::Null) => None,
        Some(Value::Array(values)) => {
            let vector: Option<Vec<f32>> =
                values.iter().map(|value| value.as_f64().map(|value| value as f32)).collect();
            let vector = vector.ok_or("`vector` holds something that is no number")?;
            if !vector.iter().all(|value| value.is_finite()) {
                return Err("`vector` holds a number too large for 32 bits".into());
            }
            if vector.len() != dims {
                return Err(format!(
                    "a vector of {} dims, the store has {dims}: leave `vector` out to have it computed",
                    vector.len()
                ));
            }
            Some(vector)
        }
        Some(_) => return Err("`vector` is no list of numbers".into()),
    };
    Ok(Point { line, id, payload, vector })
}
