//! The survey of a source: counts by user, and anomalies by kind.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, BuildHasherDefault};

use mnemon_engine::{ForeignPoint, text_hash};
use mnemon_store::{MemoryId, SCOPE_KEYS, Scope, keys};
use serde_json::Value;

/// The number of example ids for each kind of anomaly.
const MAX_EXAMPLES: usize = 5;

/// The label of memories without a user in the counts.
pub(crate) const NO_USER: &str = "null";

/// The counts and anomalies of a source.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Survey {
    /// The number of points.
    pub points: usize,
    /// The number of points by `user_id`; points without one are counted under `null`.
    pub by_user: BTreeMap<String, usize>,
    /// Points with lemmas, which were written by mem0 v2.
    pub lemmatized: usize,
    /// The anomalies, in a fixed order.
    pub anomalies: Vec<Anomaly>,
    /// Hashes of scope and text, at most [`MAX_SEEN`].
    seen: HashSet<u64>,
}

/// A kind of anomaly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anomaly {
    /// A stable name of the kind.
    pub kind: &'static str,
    /// The number of points.
    pub count: usize,
    /// What the anomaly is, and what the migration does with such points.
    pub detail: &'static str,
    /// The ids of the first points.
    pub examples: Vec<MemoryId>,
}

/// All kinds of anomalies, in the order of the report.
const KINDS: [(&str, &str); 13] = [
    ("integer_id", "the id is a number, not a UUID: copied with the same id"),
    ("no_text", "`data` is missing, null, empty or not a string: copied; found by id and in lists, but not by words"),
    ("no_scope", "no user_id, agent_id or run_id: copied; only `list` without a scope returns them"),
    (
        "scope_no_text",
        "a scope id is not a string (a number, true, …): copied unchanged, but it is not used as a scope",
    ),
    (
        "scope_odd",
        "a scope id that is not valid in a request (`*`, leading, trailing or inner white space): copied; only `list` \
         without a scope returns them",
    ),
    ("hash_wrong", "`hash` is not the MD5 of the text: copied unchanged"),
    ("hash_missing", "`hash` is missing: copied without it; `skip_duplicates` does not find these texts"),
    (
        "time_unreadable",
        "`created_at` or `updated_at` is not a valid time: copied unchanged, and treated as having no date",
    ),
    (
        "time_offset",
        "times with an offset other than UTC, as written by mem0 v0 and v1: kept, and compared as instants",
    ),
    ("text_long", "texts of more than 16,384 bytes: copied in full"),
    ("control_characters", "control characters in the text: copied unchanged"),
    (
        "number_large",
        "a number of 2^63 or more, read as floating point: a running Qdrant returns exact integers only below 2^63; a \
         snapshot file has all digits",
    ),
    ("duplicate", "the same text in the same scope as another memory: both are copied"),
];

/// The number of bytes from which a text is reported as long.
const LONG_TEXT_BYTES: usize = 16_384;
/// The number of texts among which duplicates are found: 5 million need about 90 MB.
const MAX_SEEN: usize = 5_000_000;

impl Survey {
    /// Adds a page of points.
    pub fn add(&mut self, points: &[ForeignPoint]) {
        for point in points {
            self.points += 1;
            let payload = &point.payload;
            *self.by_user.entry(user_label(payload.as_map().get("user_id"))).or_default() += 1;
            self.lemmatized += usize::from(payload.str(keys::TEXT_LEMMATIZED).is_some());
            for kind in self.anomalies_of(point) {
                self.count_anomaly(kind, point.id);
            }
        }
    }

    fn anomalies_of(&mut self, point: &ForeignPoint) -> Vec<&'static str> {
        let payload = &point.payload;
        let map = payload.as_map();
        let text = payload.text();
        let mut kinds = Vec::new();
        let mut flag = |kind: &'static str, applies: bool| {
            if applies {
                kinds.push(kind);
            }
        };
        flag("integer_id", matches!(point.id, MemoryId::Number(_)));
        flag("no_text", text.is_empty());
        let scopes = SCOPE_KEYS.map(|key| map.get(key).filter(|value| !value.is_null()));
        flag("no_scope", scopes.iter().all(Option::is_none));
        flag("scope_no_text", scopes.iter().flatten().any(|value| !value.is_string()));
        let is_invalid = |id: &str| Scope::user(id).is_err() || id.trim() != id;
        flag("scope_odd", scopes.iter().flatten().filter_map(|value| value.as_str()).any(is_invalid));
        let text_hash = text_hash(text);
        if !text.is_empty() {
            let hash = map.get(keys::HASH).filter(|hash| !hash.is_null());
            flag("hash_wrong", hash.is_some_and(|hash| hash.as_str() != Some(&text_hash)));
            flag("hash_missing", hash.is_none());
        }
        let times = [keys::CREATED_AT, keys::UPDATED_AT].map(|key| map.get(key).filter(|value| !value.is_null()));
        let is_time = |value: &&Value| value.as_str().and_then(mnemon_store::parse_time).is_some();
        flag("time_unreadable", times.iter().flatten().any(|value| !is_time(value)));
        let is_utc = |text: &str| text.ends_with(['Z', 'z']) || text.ends_with("+00:00") || !has_offset(text);
        flag(
            "time_offset",
            times.iter().flatten().any(|value| is_time(value) && value.as_str().is_some_and(|text| !is_utc(text))),
        );
        flag("text_long", text.len() > LONG_TEXT_BYTES);
        flag("control_characters", text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')));
        flag("number_large", map.values().any(contains_large_number));
        if !text.is_empty() {
            let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one((payload.scope(), text_hash));
            flag("duplicate", self.seen.contains(&hash));
            if self.seen.len() < MAX_SEEN {
                self.seen.insert(hash);
            }
        }
        kinds
    }

    fn count_anomaly(&mut self, kind: &'static str, id: MemoryId) {
        if self.anomalies.is_empty() {
            let uncounted = |&(kind, detail)| Anomaly { kind, count: 0, detail, examples: Vec::new() };
            self.anomalies = KINDS.iter().map(uncounted).collect();
        }
        if let Some(anomaly) = self.anomalies.iter_mut().find(|anomaly| anomaly.kind == kind) {
            anomaly.count += 1;
            if anomaly.examples.len() < MAX_EXAMPLES {
                anomaly.examples.push(id);
            }
        }
    }

    /// Ends the survey. Kinds without points are left out.
    #[must_use]
    pub fn finish(mut self) -> Self {
        self.anomalies.retain(|anomaly| anomaly.count > 0);
        self.seen = HashSet::new();
        self
    }

    /// The counts as text, `user: N` in each line.
    pub fn counts(&self) -> String {
        self.by_user.iter().map(|(user, count)| format!("{user}: {count}\n")).collect()
    }
}

/// The label of a `user_id` in the counts.
pub(crate) fn user_label(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => NO_USER.to_owned(),
        Some(Value::String(user)) => user.clone(),
        Some(other) => other.to_string(),
    }
}

/// Whether a value contains a number that may have been an integer before gRPC, which has no integers from 2^63 on.
fn contains_large_number(value: &Value) -> bool {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    match value {
        Value::Number(number) => number.is_f64() && number.as_f64().is_some_and(|number| number.abs() >= LIMIT),
        Value::Array(items) => items.iter().any(contains_large_number),
        Value::Object(map) => map.values().any(contains_large_number),
        _ => false,
    }
}

/// Whether a time has an offset from UTC.
fn has_offset(text: &str) -> bool {
    let clock = text.split_once(['T', ' ']).map_or("", |(_, clock)| clock);
    clock.contains(['+', '-'])
}
