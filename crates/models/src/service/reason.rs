//! Finds the reason of a failure in the body of a response of any form.

use serde_json::Value;

/// Keys under which services put the reason, the most specific ones first.
const TEXT_KEYS: [&str; 27] = [
    "message",
    "msg",
    "error_message",
    "errorMessage",
    "error_msg",
    "errmsg",
    "err_msg",
    "error_description",
    "errorDescription",
    "detail",
    "details",
    "description",
    "faultstring",
    "reason",
    "title",
    "Message",
    "raw",
    "text",
    "exception",
    "cause",
    "status_message",
    "statusMessage",
    "status_msg",
    "statusMsg",
    "ErrorMessage",
    "errorText",
    "info",
];
/// Keys under which services put an object or a list with the reason.
const ERROR_KEYS: [&str; 9] =
    ["error", "errors", "fault", "err", "exception", "Error", "failure", "base_resp", "baseResp"];
/// Keys inside of an error with the error of the service behind it.
const INNER_KEYS: [&str; 9] = [
    "metadata",
    "raw",
    "innererror",
    "inner_error",
    "cause",
    "upstream_error",
    "Response",
    "ResponseMetadata",
    "response",
];
/// Keys that a successful answer has.
const SUCCESS_KEYS: [&str; 7] = ["choices", "data", "embeddings", "embedding", "content", "results", "candidates"];
/// Deepest level that is searched.
const MAX_DEPTH: usize = 8;
/// Most items of a list that are reported.
const MAX_ITEMS: usize = 3;
/// Longest value that may be a code.
const MAX_CODE: usize = 64;

/// Why a request failed, as the body of a response says it.
#[derive(Debug, Default)]
pub(super) struct Reason {
    /// The service's message, in one line. Empty if the body has none.
    pub(super) message: String,
    /// The parameter that it names.
    pub(super) param: Option<String>,
    /// The service's error code.
    pub(super) code: String,
    /// The status that it names.
    pub(super) status: Option<u16>,
    /// Keys and short values of the body, in lower case: names of causes are among them.
    pub(super) signals: Vec<String>,
}

/// Reads the reason from a body: JSON in any of the services' forms, a text, or the title of a page.
pub(super) fn read(body: &[u8]) -> Reason {
    let text = String::from_utf8_lossy(body);
    let text = text.trim().trim_start_matches('\u{feff}');
    let Some(json) = parse(text) else {
        let plain = if text.starts_with('<') { super::page::reason(text) } else { text.to_owned() };
        return Reason { message: in_one_line(&plain), ..Reason::default() };
    };
    read_value(&json)
}

/// The error in the body of a response whose status says that it succeeded.
pub(super) fn in_success(body: &[u8]) -> Option<Reason> {
    let text = String::from_utf8_lossy(body);
    let is_stream = ["data:", "event:"].iter().any(|name| text.trim_start().starts_with(name));
    let json = if is_stream { parse(text.trim())? } else { serde_json::from_slice(body).ok()? };
    let object = match &json {
        Value::Array(items) => items.first().filter(|_| items.len() == 1)?,
        other => other,
    };
    let map = object.as_object()?;
    let is_given = |key: &&str| map.get(*key).is_some_and(|value| !is_blank(value));
    let names_error = ERROR_KEYS.iter().any(is_given)
        || map.get("object").or(map.get("type")).is_some_and(|kind| kind == "error")
        || (map.get("success") == Some(&Value::Bool(false)));
    // Some services send `{"code": 0, "data": …}` for a success, and a code and a message for a failure.
    let names_failure =
        ["detail", "msg", "message", "error_msg"].iter().any(|key| map.get(*key).is_some_and(Value::is_string));
    let is_success = SUCCESS_KEYS.iter().any(is_given) || map.get("message").is_some_and(Value::is_object);
    ((names_error || names_failure) && !is_success).then(|| read_value(&json))
}

/// The message of an error object, in one line.
pub(crate) fn message_of(error: &Value) -> String {
    in_one_line(&message(error, 0).unwrap_or_default())
}

fn read_value(json: &Value) -> Reason {
    let error = error_object(json);
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !is_nothing(text)),
        _ => None,
    };
    let first = |keys: &[&str]| keys.iter().find_map(|key| text(&error[*key]).or_else(|| text(&json[*key])));
    let number = |key: &str| error[key].as_u64().or_else(|| error[key].as_str()?.parse().ok());
    let status = ["code", "status", "status_code", "statusCode", "http_status"].iter().find_map(|key| number(key));
    let mut signals = Vec::new();
    collect_signals(json, 0, &mut signals);
    // Without a message, all of it.
    let described = ERROR_KEYS.iter().chain(&["detail"]).map(|key| &json[*key]).find(|value| !is_blank(value));
    let described = described.unwrap_or(json);
    let message = message(json, 0).unwrap_or_else(|| match is_blank(described) {
        true => String::new(),
        false => described.to_string(),
    });
    Reason {
        message: in_one_line(&message),
        param: first(&["param"]),
        code: first(&["code", "error_code", "errorCode", "type", "status"]).unwrap_or_default(),
        status: status.and_then(|status| u16::try_from(status).ok()).filter(|status| (400..600).contains(status)),
        signals,
    }
}

/// The body as JSON: also the events of a stream, or a text that holds JSON.
fn parse(text: &str) -> Option<Value> {
    if let Ok(json) = serde_json::from_str::<Value>(text) {
        return Some(match json.as_str().map(serde_json::from_str) {
            Some(Ok(inner @ (Value::Object(_) | Value::Array(_)))) => inner,
            _ => json,
        });
    }
    let events = text.lines().filter_map(|line| line.trim().strip_prefix("data:"));
    events.chain(text.lines().take(1)).find_map(|line| serde_json::from_str(line.trim()).ok().filter(Value::is_object))
}

/// The object that describes the error.
fn error_object(json: &Value) -> &Value {
    let inner = match json {
        Value::Array(items) => items.first(),
        Value::Object(map) => ERROR_KEYS
            .iter()
            .chain(&["detail"])
            .find_map(|key| map.get(*key).filter(|value| value.is_object() || value.is_array())),
        _ => None,
    };
    inner.map_or(json, error_object)
}

fn message(value: &Value, depth: usize) -> Option<String> {
    if depth > MAX_DEPTH {
        return None;
    }
    match value {
        Value::String(text) => {
            let text = text.trim();
            let inner = text.starts_with(['{', '[']).then(|| serde_json::from_str::<Value>(text).ok()).flatten();
            inner.and_then(|inner| message(&inner, depth + 1)).or_else(|| (!is_nothing(text)).then(|| text.to_owned()))
        }
        Value::Array(items) => {
            let mut messages: Vec<String> = Vec::new();
            for found in items.iter().filter_map(|item| message(item, depth + 1)) {
                if messages.len() < MAX_ITEMS && !messages.contains(&found) {
                    messages.push(found);
                }
            }
            (!messages.is_empty()).then(|| messages.join("; "))
        }
        Value::Object(map) => {
            let get = |key: &&str| map.get(*key).and_then(|value| message(value, depth + 1));
            let error = ERROR_KEYS.iter().find_map(|key| Some((map.get(*key)?.is_string(), get(key)?)));
            let own = match (error, TEXT_KEYS.iter().find_map(get)) {
                // Some services put a name there, and the reason beside it.
                (Some((true, name)), Some(text)) if !text.contains(&name) => {
                    Some(if name.contains(&text) { name } else { format!("{name}: {text}") })
                }
                (Some((true, _)), Some(text)) => Some(text),
                (error, text) => error.map(|(_, message)| message).or(text),
            };
            let inner = INNER_KEYS.iter().find_map(get);
            let message = match (own, inner) {
                (Some(own), Some(inner)) if !own.contains(inner.as_str()) => format!("{own}: {inner}"),
                (own, inner) => own.or(inner)?,
            };
            Some(match place(map.get("loc")) {
                Some(place) => format!("{place}: {message}"),
                None => message,
            })
        }
        _ => None,
    }
}

/// The location of a fault in FastAPI's format.
fn place(loc: Option<&Value>) -> Option<String> {
    let steps = loc?.as_array()?.iter().map(|step| step.as_str().map_or_else(|| step.to_string(), str::to_owned));
    Some(steps.collect::<Vec<_>>().join("."))
}

fn collect_signals(value: &Value, depth: usize, signals: &mut Vec<String>) {
    if depth > MAX_DEPTH || signals.len() > 1000 {
        return;
    }
    match value {
        Value::String(text) if text.len() <= MAX_CODE && !text.contains(' ') => signals.push(text.to_lowercase()),
        Value::String(text) if text.trim_start().starts_with('{') => {
            if let Ok(inner) = serde_json::from_str(text) {
                collect_signals(&inner, depth + 1, signals);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect_signals(item, depth + 1, signals)),
        Value::Object(map) => {
            for (key, value) in map.iter().filter(|(_, value)| !is_blank(value)) {
                signals.push(key.to_lowercase());
                collect_signals(value, depth + 1, signals);
            }
        }
        _ => {}
    }
}

fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => is_nothing(text),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

/// Whether a text says that there is nothing: some services write Python's `None`.
fn is_nothing(text: &str) -> bool {
    matches!(text.trim().to_lowercase().as_str(), "" | "none" | "null" | "nil" | "undefined")
}

fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_found_in_every_form() {
        let raw = r#"{\"error\":{\"message\":\"the reason\"}}"#;
        for body in [
            r#"{"error": {"message": "the reason", "code": "x"}}"#.to_owned(),
            r#"{"error": "the reason"}"#.into(),
            r#"{"error": {"error": {"message": "the reason"}}}"#.into(),
            r#"[{"error": {"code": 400, "message": "the reason", "status": "INVALID_ARGUMENT", "details": []}}]"#
                .into(),
            r#"{"errors": [{"message": "the reason"}]}"#.into(),
            r#"{"errors": ["the reason"]}"#.into(),
            r#"{"errors": {"base": "x", "message": "the reason"}}"#.into(),
            r#"{"errors": [], "msg": "the reason"}"#.into(),
            r#"{"error": null, "message": "the reason"}"#.into(),
            r#"{"error": {}, "error_msg": "the reason"}"#.into(),
            r#"{"error": "", "message": "the reason"}"#.into(),
            r#"{"detail": "the reason"}"#.into(),
            r#"{"detail": {"message": "the reason"}}"#.into(),
            r#"{"detail": {"error": {"msg": "the reason"}}}"#.into(),
            r#"{"detail": [{"msg": "the reason"}]}"#.into(),
            r#"{"code": 7, "msg": "the reason", "data": null}"#.into(),
            r#"{"error_code": 17, "error_msg": "the reason"}"#.into(),
            r#"{"error_description": "the reason"}"#.into(),
            r#"{"type": "about:blank", "title": "the reason", "status": 400}"#.into(),
            r#"{"message": {"message": "the reason"}}"#.into(),
            r#"{"Message": "the reason", "__type": "ValidationException"}"#.into(),
            r#"{"fault": {"faultstring": "the reason", "detail": {"errorcode": "x"}}}"#.into(),
            r#""the reason""#.into(),
            r#""{\"error\": {\"message\": \"the reason\"}}""#.into(),
            r#"{"message": "{\"detail\": \"the reason\"}"}"#.into(),
            "data: {\"error\": {\"message\": \"the reason\"}}\n\n".into(),
            "event: error\ndata: {\"message\": \"the reason\"}\n\n".into(),
            "the\n  reason".into(),
            "\u{feff}{\"error\": \"the reason\"}".into(),
            "<html><head><TITLE>the reason</TITLE></head></html>".into(),
            "<html><head><style>p {}</style></head><body><h1 class=\"x\">the <b>reason</b></h1><p>y</p></body></html>"
                .into(),
            "<html><head><title>the</title></head><body><h1>reason</h1></body></html>".replace("the<", "the reason<"),
            "<html><head><title></title></head><body><h2>the reason</h2></body></html>".into(),
            "<html><body>the<br>reason<script>x()</script></body></html>".into(),
            "<?xml version=\"1.0\"?><Error><Code>X</Code><Message>the reason</Message></Error>".into(),
            "<error><code>7</code><message><![CDATA[the reason]]></message></error>".into(),
            "<fault><faultstring>the reason</faultstring></fault>".into(),
            r#"{"base_resp": {"status_code": 1008, "status_msg": "the reason"}, "choices": null}"#.into(),
            r#"{"Response": {"Error": {"Code": "X", "Message": "the reason"}, "RequestId": "y"}}"#.into(),
            r#"{"ResponseMetadata": {"RequestId": "y", "Error": {"Code": "X", "Message": "the reason"}}}"#.into(),
            r#"{"error": "reason", "error_description": "the reason"}"#.into(),
            "event: error\ndata: {\"type\": \"error\", \"error\": {\"message\": \"the reason\"}}\n\n".into(),
            format!(r#"{{"error": {{"metadata": {{"raw": "{raw}"}}}}}}"#)
                .replace("\"error\": {", "\"error\": {\"message\": \"None\", "),
        ] {
            let message = read(body.as_bytes()).message;
            assert!(message.trim_end_matches(": x") == "the reason", "{body}: {message}");
        }
        for (body, expected) in [
            (r#"{"error": "invalid_request", "error_description": "the reason"}"#, "invalid_request: the reason"),
            (r#"{"error": "Unauthorized", "message": "the reason", "statusCode": 401}"#, "Unauthorized: the reason"),
            (r#"{"error": "Bad Request", "message": ["the", "reason"]}"#, "Bad Request: the; reason"),
            (r#"{"error": "invalid_token", "detail": {"msg": "the reason"}}"#, "invalid_token: the reason"),
            ("<title>Attention!</title><h1>Sorry, you are blocked</h1>", "Attention! Sorry, you are blocked"),
        ] {
            assert_eq!(read(body.as_bytes()).message, expected);
        }
        let body = format!(r#"{{"error": {{"message": "Provider returned error", "metadata": {{"raw": "{raw}"}}}}}}"#);
        assert_eq!(read(body.as_bytes()).message, "Provider returned error: the reason");
        let body = r#"{"detail": [{"loc": ["body", "store"], "msg": "Extra inputs are not permitted"}, {"loc": ["body", 1], "msg": "no"}]}"#;
        assert_eq!(read(body.as_bytes()).message, "body.store: Extra inputs are not permitted; body.1: no");
        for (body, expected) in [
            ("", ""),
            ("{}", ""),
            ("<p></p>", ""),
            (r#"{"status": 7}"#, r#"{"status":7}"#),
            (r#"{"detail": [{"loc": ["body", "store"]}]}"#, r#"[{"loc":["body","store"]}]"#),
        ] {
            assert_eq!(read(body.as_bytes()).message, expected);
        }
        assert!(read(b"{\"error\": \"the \xff\"}").message.starts_with("the "));
    }

    #[test]
    fn a_parameter_named_none_is_none() {
        for param in ["\"None\"", "null", "\"null\"", "\"\"", "\" \""] {
            let body = format!(r#"{{"error": {{"message": "Bad Request", "param": {param}, "code": "400"}}}}"#);
            let reason = read(body.as_bytes());
            assert_eq!((reason.param, reason.status), (None, Some(400)), "{param}");
        }
        let named = read(br#"{"error": {"message": "m", "param": "store", "code": "unknown_parameter"}}"#);
        assert_eq!((named.param.as_deref(), named.code.as_str()), (Some("store"), "unknown_parameter"));
    }

    #[test]
    fn an_error_with_a_successful_status_is_an_error() {
        for body in [
            r#"{"error": {"message": "x"}}"#,
            r#"{"error": {"message": "x", "code": 429}, "choices": []}"#,
            r#"[{"error": {"message": "x"}}]"#,
            r#"{"errors": [{"message": "x"}], "success": false, "result": null}"#,
            r#"{"object": "error", "message": "x", "code": 40303}"#,
            r#"{"code": 1301, "msg": "x", "data": null}"#,
            r#"{"detail": "x"}"#,
            r#"{"type": "error", "error": {"type": "overloaded_error", "message": "x"}}"#,
            r#"{"base_resp": {"status_code": 1008, "status_msg": "x"}, "choices": null}"#,
            "event: error\ndata: {\"message\": \"x\"}\n\n",
            "data: {\"error\": {\"message\": \"x\"}}\n\ndata: [DONE]\n\n",
        ] {
            let found = in_success(body.as_bytes()).unwrap_or_else(|| panic!("{body}"));
            assert_eq!(found.message, "x", "{body}");
        }
        for body in [
            r#"{"choices": [{"message": {"content": "x"}}], "error": null}"#,
            r#"{"choices": [{"message": {"content": "x"}}], "error": {}}"#,
            r#"{"code": 0, "msg": "ok", "data": [{"embedding": [1.0]}]}"#,
            r#"{"data": [{"embedding": [1.0]}]}"#,
            r#"{"message": {"role": "assistant", "content": "x"}, "done": true}"#,
            r#"{"type": "message", "content": [{"type": "text", "text": "x"}]}"#,
            r#"{"choices": [{"message": {"content": "x"}}], "base_resp": {"status_code": 0, "status_msg": "success"}}"#,
            "data: {\"choices\": [{\"delta\": {\"content\": \"x\"}}]}\n\ndata: [DONE]\n\n",
            r#"[0.1]"#,
            "x",
        ] {
            assert!(in_success(body.as_bytes()).is_none(), "{body}");
        }
    }
}
