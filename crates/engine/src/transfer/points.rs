//! Imports points of a mem0 collection: `{"id", "payload", "vector"?}` on each line. Ids and payloads stay unchanged, and
//! the fields that search needs are added.

use std::collections::HashSet;
use std::path::Path;

use mnemon_store::{Change, MemoryId, Payload, StoreError};
use serde_json::Value;

use super::format::ImportFormat;
use super::insert::insert_new;
use super::reader::for_each_line;
use super::report::{ImportReport, RejectedRecord};
use crate::engine::Engine;
use crate::error::Result;
use crate::foreign::{ForeignPoint, embed_mentions, enrich};
use crate::json::read_json;
use crate::validate::{check_depth, check_length};

/// Points in one commit.
const BATCH: usize = 256;

/// A parsed line.
struct Point {
    line: usize,
    id: MemoryId,
    payload: Payload,
    vector: Option<Vec<f32>>,
}

/// Imports a file of points.
pub(super) fn import(engine: &Engine, path: &Path, progress: &mut dyn FnMut(usize)) -> Result<ImportReport> {
    let mut imported = ImportReport::new(ImportFormat::Points);
    let dims = engine.store.info()?.dims;
    let mut points = Vec::with_capacity(BATCH);
    for_each_line(path, |line, text| {
        match text.map_err(str::to_owned).and_then(|text| parse_point(line, text, dims)) {
            Ok(point) => points.push(point),
            Err(reason) => imported.refused.push(RejectedRecord { line, reason: reason.into() }),
        }
        if points.len() == BATCH {
            store_points(engine, std::mem::take(&mut points), &mut imported)?;
        }
        progress(line);
        Ok(())
    })?;
    store_points(engine, points, &mut imported)?;
    Ok(imported)
}

fn store_points(engine: &Engine, points: Vec<Point>, imported: &mut ImportReport) -> Result<()> {
    let mut new = Vec::with_capacity(points.len());
    let mut lines = Vec::with_capacity(points.len());
    for mut point in points {
        let vector = match point.vector {
            Some(vector) => vector,
            // A memory without text gets the zero vector, which is similar to no other.
            None if point.payload.text().is_empty() => vec![0.0; engine.embedder.dims()],
            None => engine.embed_payloads(std::iter::once(&mut point.payload))?.pop().unwrap_or_default(),
        };
        new.push(ForeignPoint { id: point.id, payload: point.payload, vector });
        lines.push(point.line);
    }
    let mut changes = Vec::with_capacity(new.len());
    let mut seen = HashSet::new();
    let mut records = enrich(new);
    embed_mentions(&mut records, Some(&*engine.embedder))?;
    for (record, line) in records.into_iter().zip(lines) {
        let id = record.memory.id;
        let existing = engine.store.get(&[id])?.pop().flatten();
        if existing.is_none() && seen.insert(id) {
            changes.push(Change::Insert(Box::new(record)));
        } else if existing.is_some_and(|existing| {
            existing.payload.without_embedded() == record.memory.payload.clone().without_embedded()
        }) {
            imported.unchanged += 1;
        } else {
            let reason = format!("{}; the stored memory was not changed", StoreError::Exists(id));
            imported.refused.push(RejectedRecord { line, reason: reason.into() });
        }
    }
    imported.stored.memories += changes.len();
    let existing = insert_new(engine.store(), changes)?;
    imported.stored.memories -= existing;
    imported.unchanged += existing;
    Ok(())
}

fn parse_point(line: usize, text: &str, dims: usize) -> Result<Point, String> {
    let value = read_json(text).map_err(|error| format!("invalid JSON: {error}"))?;
    let Value::Object(mut map) = value else { return Err("not a JSON object".into()) };
    let id = map.get("id").ok_or("the point has no `id`")?;
    let id = MemoryId::from_value(id).map_err(|error| error.to_string())?;
    let Some(Value::Object(payload)) = map.remove("payload") else {
        return Err("`payload` is missing or not an object".into());
    };
    let payload = Payload::new(payload);
    check_length(payload.text()).map_err(|fault| format!("the text {fault}"))?;
    check_depth(payload.as_map()).map_err(|fault| format!("the payload {fault}"))?;
    let vector = match map.get("vector") {
        None | Some(Value::Null) => None,
        Some(Value::Array(values)) => {
            let vector: Option<Vec<f32>> =
                values.iter().map(|value| value.as_f64().map(|value| value as f32)).collect();
            let vector = vector.ok_or("`vector` has items that are not numbers")?;
            if !vector.iter().all(|value| value.is_finite()) {
                return Err("`vector` has a number that is too large for 32 bits".into());
            }
            if vector.len() != dims {
                return Err(format!(
                    "`vector` has {} dims, the store has {dims}: leave it out to have it computed",
                    vector.len()
                ));
            }
            Some(vector)
        }
        Some(_) => return Err("`vector` is not a list of numbers".into()),
    };
    Ok(Point { line, id, payload, vector })
}
