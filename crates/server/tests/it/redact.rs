//! Replaces values that differ from run to run.

use serde_json::Value;

/// The answer with ids, times, keys and tokens replaced by placeholders.
pub(crate) fn redact(mut value: Value) -> Value {
    redact_in_place(&mut value);
    value
}

fn redact_in_place(value: &mut Value) {
    match value {
        Value::String(text) => {
            let name = if uuid(text) {
                "[id]"
            } else if text.len() >= 20 && text[10..].starts_with('T') && text.parse::<jiff::Timestamp>().is_ok() {
                "[time]"
            } else if text.starts_with("m0sk_") {
                "[key]"
            } else if text.split('.').count() == 3 && text.len() > 100 {
                "[token]"
            } else if text.starts_with("static-256:") {
                "[model]"
            } else {
                return;
            };
            *text = name.into();
        }
        Value::Array(items) => items.iter_mut().for_each(redact_in_place),
        Value::Object(fields) => {
            fields.shift_remove("request_id");
            fields.values_mut().for_each(redact_in_place);
        }
        _ => {}
    }
}

fn uuid(text: &str) -> bool {
    text.len() == 36 && uuid::Uuid::parse_str(text).is_ok()
}
