//! What a source holds, before anything is done: counts by user, and everything that is odd, by kind.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, BuildHasherDefault};

use md5::{Digest, Md5};
use mnemon_engine::ForeignPoint;
use mnemon_store::{MemoryId, SCOPE_KEYS, Scope, keys};
use serde_json::Value;

/// Ids told of each kind of oddity.
const MAX_EXAMPLES: usize = 5;

/// The name under which memories without a user are counted.
pub(crate) const NO_USER: &str = "null";

/// What was counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Survey {
    /// Points in all.
    pub points: usize,
    /// Points by `user_id`; those without one under `null`.
    pub by_user: BTreeMap<String, usize>,
    /// Points that have lemmas already, so were written by mem0 v2.
    pub lemmatized: usize,
    /// What is odd, in a fixed order, with what will happen to it.
    pub anomalies: Vec<Anomaly>,
    /// Hashes of scope and text; no more than fit in little memory.
    seen: HashSet<u64>,
}

/// A kind of oddity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anomaly {
    /// A stable name.
    pub kind: &'static str,
    /// How many points.
    pub count: usize,
    /// What it is, and what happens to such points.
    pub detail: &'static str,
    /// The first of them.
    pub examples: Vec<MemoryId>,
}

/// Every kind, in the order they are told.
const KINDS: [(&str, &str); 13] = [
    ("integer_id", "ids are numbers, not UUIDs: carried over as they are"),
    ("no_text", "`data` is missing, null, empty or no text: carried over, found by no word and by id and list only"),
    ("no_scope", "no user_id, agent_id or run_id: carried over, shown to nobody; `list` without a scope shows them"),
    ("scope_no_text", "a scope id is no text (a number, true, …): carried over as it is, but owns nothing"),
    (
        "scope_odd",
        "a scope id that requests can't name (`*`, outer or inner white space): carried over; only `list` without \
                   a scope shows them",
    ),
    ("hash_wrong", "`hash` is not the MD5 of the text: carried over as it is"),
    ("hash_missing", "`hash` is missing: carried over without one; `skip_duplicates` does not know these texts"),
    (
        "time_unreadable",
        "`created_at` or `updated_at` can't be read as a time: carried over as it is, and counts as undated",
    ),
    ("time_offset", "times with another offset than UTC, as mem0 v0 and v1 wrote them: kept, and compared as instants"),
    ("text_long", "texts of more than 16,384 bytes: carried over whole"),
    ("control_characters", "control characters in the text: carried over as they are"),
    (
        "number_large",
        "a number of 2^63 or more that came as floating-point: a running Qdrant hands whole numbers on only below that; a \
         snapshot file has the last digits",
    ),
    ("duplicate", "the same text in the same scope as another memory: both are carried over"),
];

const LONG_TEXT_BYTES: usize = 16_384;
/// Texts among which duplicates are looked for: 5 million take some 90 MB.
const MAX_SEEN: usize = 5_000_000;

impl Survey {
    /// Counts a page of points.
    pub fn add(&mut self, points: &[ForeignPoint]) {
        for point in points {
            self.points += 1;
            let payload = &point.payload;
            *self.by_user.entry(user_label(payload.as_map().get("user_id"))).or_default() += 1;
            self.lemmatized += usize::from(payload.str(keys::TEXT_LEMMATIZED).is_some());
            for kind in self.anomalies_of(point) {
                self.note(kind, point.id);
            }
        }
    }

    fn anomalies_of(&mut self, point: &ForeignPoint) -> Vec<&'static str> {
        let payload = &point.payload;
        let map = payload.as_map();
        let text = payload.text();
        let mut kinds = Vec::new();
        let mut flag = |kind: &'static str, holds: bool| kinds.extend(holds.then_some(kind));
        flag("integer_id", matches!(point.id, MemoryId::Number(_)));
        flag("no_text", text.is_empty());
        let scopes = SCOPE_KEYS.map(|key| map.get(key).filter(|value| !value.is_null()));
        flag("no_scope", scopes.iter().all(Option::is_none));
        flag("scope_no_text", scopes.iter().flatten().any(|value| !value.is_string()));
        let unnamed = |id: &str| Scope::user(id).is_err() || id.trim() != id;
        flag("scope_odd", scopes.iter().flatten().filter_map(|value| value.as_str()).any(unnamed));
        let digest: [u8; 16] = Md5::digest(text.as_bytes()).into();
        if !text.is_empty() {
            let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            let hash = map.get(keys::HASH).filter(|hash| !hash.is_null());
            flag("hash_wrong", hash.is_some_and(|hash| hash.as_str() != Some(&hex)));
            flag("hash_missing", hash.is_none());
        }
        let times = [keys::CREATED_AT, keys::UPDATED_AT].map(|key| map.get(key).filter(|value| !value.is_null()));
        let read = |value: &&Value| value.as_str().and_then(mnemon_store::parse_time).is_some();
        flag("time_unreadable", times.iter().flatten().any(|value| !read(value)));
        let utc = |text: &str| text.ends_with(['Z', 'z']) || text.ends_with("+00:00") || !has_offset(text);
        flag(
            "time_offset",
            times.iter().flatten().any(|value| read(value) && value.as_str().is_some_and(|text| !utc(text))),
        );
        flag("text_long", text.len() > LONG_TEXT_BYTES);
        flag("control_characters", text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')));
        flag("number_large", map.values().any(contains_large_number));
        if !text.is_empty() {
            let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one((payload.scope(), digest));
            flag("duplicate", self.seen.contains(&hash));
            if self.seen.len() < MAX_SEEN {
                self.seen.insert(hash);
            }
        }
        kinds
    }

    fn note(&mut self, kind: &'static str, id: MemoryId) {
        if self.anomalies.is_empty() {
            let none = |&(kind, detail)| Anomaly { kind, count: 0, detail, examples: Vec::new() };
            self.anomalies = KINDS.iter().map(none).collect();
        }
        if let Some(anomaly) = self.anomalies.iter_mut().find(|anomaly| anomaly.kind == kind) {
            anomaly.count += 1;
            if anomaly.examples.len() < MAX_EXAMPLES {
                anomaly.examples.push(id);
            }
        }
    }

    /// Ends the counting: kinds of which there are none are left out.
    #[must_use]
    pub fn finish(mut self) -> Self {
        self.anomalies.retain(|anomaly| anomaly.count > 0);
        self.seen = HashSet::new();
        self
    }

    /// The counts as the runbook's `pre-cutover-counts.txt` has them: `user: N` a line.
    pub fn counts(&self) -> String {
        self.by_user.iter().map(|(user, count)| format!("{user}: {count}\n")).collect()
    }
}

/// A user's name as counts have it.
pub(crate) fn user_label(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => NO_USER.to_owned(),
        Some(Value::String(user)) => user.clone(),
        Some(other) => other.to_string(),
    }
}

/// Whether a value holds a number that may have been a whole one before gRPC, which has none of 2^63 and more.
fn contains_large_number(value: &Value) -> bool {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    match value {
        Value::Number(number) => number.is_f64() && number.as_f64().is_some_and(|number| number.abs() >= LIMIT),
        Value::Array(items) => items.iter().any(contains_large_number),
        Value::Object(map) => map.values().any(contains_large_number),
        _ => false,
    }
}

/// Whether a time ends in an offset from UTC.
fn has_offset(text: &str) -> bool {
    let clock = text.split_once(['T', ' ']).map_or("", |(_, clock)| clock);
    clock.contains(['+', '-'])
}
