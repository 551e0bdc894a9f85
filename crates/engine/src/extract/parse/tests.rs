//! Forms of answers.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn known() -> Vec<MemoryId> {
    (10..14).map(MemoryId::Number).collect()
}

/// Checks the texts of the facts, and whether the answer is truncated.
fn check(text: &str, expected: &[&str], cut: bool) {
    let answer = parse_answer(text, &known(), 3, true).unwrap();
    let texts: Vec<&str> = answer.facts.iter().map(|fact| fact.text.as_str()).collect();
    assert_eq!((texts.as_slice(), answer.cut), (expected, cut), "{text}");
}

#[test]
fn many_forms_of_answers_are_parsed() {
    check(r#"{"memory": [{"id": "0", "text": "a"}, {"id": "1", "text": " b "}]}"#, &["a", "b"], false);
    check(r#"Here you are: {"facts": ["a", "b"]} Anything else?"#, &["a", "b"], false);
    check(r#"[{"memory": "a"}]"#, &["a"], false);
    check(r#"{"memory": []}"#, &[], false);
    check(r#"{"memory": [{"text": "a"}]} {"memory": [{"text": "b"}]}"#, &["a", "b"], false);
    check(r#"{"memory": [{"text": "a", "id": "0"}, {"text": "b"#, &["a"], true);
    check(r#"{"memory": [{"text": "a"}], "note": "b"#, &["a"], true);
    check("```json\n{\"memory\": [{\"text\": \"a\"}]}\n``` and prose", &["a"], false);
}

/// Answers that hold the facts `User likes tea.` and `User lives in Lisbon.`
fn forms() -> Vec<String> {
    let plain = r#"{"memory": [{"id": "0", "text": "User likes tea."}, {"id": "1", "text": "User lives in Lisbon."}]}"#;
    let list = r#"[{"text": "User likes tea."}, {"text": "User lives in Lisbon."}]"#;
    let texts = r#"["User likes tea.", "User lives in Lisbon."]"#;
    let quoted = |text: &str| Value::from(text).to_string();
    let mut forms: Vec<String> = vec![
        plain.into(),
        list.into(),
        texts.into(),
        quoted(plain),
        quoted(&quoted(plain)),
        quoted(list),
        format!("[{plain}]"),
        format!("[[{plain}]]"),
        format!("```json {plain} ```"),
        format!("```{plain}```"),
        format!("Here they are:\n  ```JSON {list}\n```\nThat is all."),
        format!("```json\n{plain} ```"),
        format!("[{list}]"),
        format!(r#"{{"memory": {}}}"#, quoted(list)),
        format!(r#"{{"memory": {plain}}}"#),
        format!(r#"{{"name": "save", "arguments": {}}}"#, quoted(plain)),
        r#"{"memory": {"0": {"text": "User likes tea."}, "1": "User lives in Lisbon."}}"#.into(),
        "{\"text\": \"User likes tea.\"}\n{\"text\": \"User lives in Lisbon.\"}".into(),
        "{\"memory\": \"User likes tea.\"}\n{\"memory\": \"User lives in Lisbon.\"}".into(),
        "{\"text\": \"User likes tea.\"},\n{\"text\": \"User lives in Lisbon.\"},".into(),
        "{\"memory\": [{\"text\": \"User likes tea.\"}]}\n{\"memory\": [{\"text\": \"User lives in Lisbon.\"}]}".into(),
        r#"{"memory": [{"text": "User likes tea."}, {"text": "User lives in Lisbon.""#.into(),
        r#"{"memory": [{"text": "User likes tea."}, {"text": "User lives in Lisbon."}"#.into(),
        r#"{"memory": [{"text": "User likes tea."}, {"text": "User lives in Lisbon."}]"#.into(),
        r#"[{"memory": [{"text": "User likes tea."}, {"text": "User lives in Lisbon."}"#.into(),
        r#"{"memory": ["User likes tea.", "User lives in Lisbon.""#.into(),
        r#"{“memory”: [{“text”: “User likes tea.”}, {“text”: “User lives in Lisbon.”}]}"#.into(),
        "{'memory': [{'text': 'User likes tea.', 'old': None}, {'text': 'User lives in Lisbon.',},]} // done".into(),
        "- User likes tea.\n- User lives in Lisbon.".into(),
        "Here are the facts:\n\n1. User likes tea.\n2) User lives in Lisbon.\n".into(),
        "**Facts**\n* **User likes tea.**\n• \"User lives in Lisbon.\"\n\nLet me know if you need more!".into(),
        "User likes tea.\nUser lives in Lisbon.".into(),
    ];
    for key in ["result", "data", "output", "response", "answer", "anything", "facts", "memories"] {
        forms.push(format!(r#"{{"{key}": {plain}}}"#));
        forms.push(format!(r#"{{"{key}": {list}}}"#));
        forms.push(format!(r#"{{"{key}": {texts}}}"#));
        forms.push(format!(r#"{{"{key}": {}}}"#, quoted(plain)));
    }
    forms
}

#[test]
fn facts_are_found_in_every_form() {
    for form in forms() {
        check(&form, &["User likes tea.", "User lives in Lisbon."], false);
        check(&format!("Sure:\n```json\n{form}\n```\n"), &["User likes tea.", "User lives in Lisbon."], false);
    }
}

#[test]
fn an_answer_may_say_that_there_are_no_facts() {
    for text in [
        "[]",
        " [ ] ",
        "```json\n[]\n```",
        "```\n[]",
        "{}",
        "null",
        "\"[]\"",
        "[[]]",
        r#"{"memory": []}"#,
        r#"{"memory": null}"#,
        r#"{"memory": {}}"#,
        r#"{"memory": "[]"}"#,
        r#"[{"memory": []}]"#,
        r#"{"result": []}"#,
        r#"{"result": {"facts": []}}"#,
        r#"{"memory": ["#,
        "There is nothing to remember: []",
        "None",
        "No new facts.",
        "(no facts)",
        "N/A",
    ] {
        let answer = parse_answer(text, &[], 0, true).unwrap_or_else(|fault| panic!("{text}: {fault}"));
        assert_eq!(answer.facts, [], "{text}");
    }
}

#[test]
fn chatter_is_not_a_fact() {
    for text in [
        "I can't help with that.",
        "Sorry, I can't help.\nPlease ask something else.",
        "Here are the facts:",
        "Sure! Here are the facts:\n\nLet me know if you need more.",
        "1. I should look at the messages.\n2. Then I write the facts.",
        "- I'm sorry, but I can't assist with that.",
        "- Sorry, no.",
        "The user seems to be happy today and I would say that\nnothing else matters.",
        "Thinking about it:\nThe conversation is short.\nIt is about tea.\n- tea\nSo I am done.\nBye.",
        "{\"memo",
        "# Title",
        "- ",
        r#"{"error": ["I could not find any facts in it."]}"#,
        r#"{"Reason": ["There is nothing to remember here."]}"#,
        r#"{"notes": [{"text": "The conversation is about nothing."}]}"#,
    ] {
        assert!(parse_answer(text, &[], 0, true).is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn a_prefix_has_the_complete_facts(
        texts in proptest::collection::vec("[a-zA-Z\"'{}\\[\\]\\\\:,ä猫 \n“]{1,20}", 0..5), cut in 0.0..1.0, is_ended: bool,
    ) {
        let items: Vec<Value> = texts.iter().map(|text| json!({"id": "0", "text": format!("x{text}"), "sources": [0], "supersedes": ["1"]})).collect();
        let whole = json!({"memory": items}).to_string();
        let mut end = (whole.len() as f64 * cut) as usize;
        while !whole.is_char_boundary(end) {
            end -= 1;
        }
        let expected: Vec<String> = texts.iter().map(|text| format!("x{text}").trim().to_owned()).collect();
        // An item with its closing bracket is complete.
        let ends = items.iter().scan("{\"memory\":[".len(), |at, item| { *at += item.to_string().len() + 1; Some(*at - 1) });
        let complete = ends.take_while(|at| *at <= end).count();
        let found = parse_answer(&whole[..end], &known(), 1, is_ended).map(|answer| answer.facts).unwrap_or_default();
        let found: Vec<&str> = found.iter().map(|fact| fact.text.as_str()).collect();
        prop_assert!(found.len() >= complete && found.len() <= complete + usize::from(is_ended), "{} of {complete}", found.len());
        prop_assert!(expected.iter().zip(&found).all(|(expected, found)| expected == found), "{found:?}");
    }

    #[test]
    fn any_text_is_parsed_without_panic(text in ".{0,200}", form in 0_usize..60, at in 0_usize..200) {
        let _ = parse_answer(&text, &known(), 3, true);
        let forms = forms();
        let mut form = forms[form % forms.len()].clone();
        let at = (0..=at.min(form.len())).rev().find(|at| form.is_char_boundary(*at)).unwrap_or(0);
        form.insert_str(at, &text);
        let _ = parse_answer(&form, &known(), 3, false);
    }
}

#[test]
fn invalid_items_are_skipped_and_invalid_answers_rejected() {
    check(r#"{"memory": [{"text": 7}, {"text": "a"}, null, {"text": " "}, {"text": "…"}]}"#, &["a"], false);
    for bad in [r#"{"memory": [{"text": 7}]}"#, r#"{"memory": [1, 2]}"#] {
        assert!(parse_answer(bad, &[], 0, true).is_err(), "{bad}");
    }
    for bad in ["Sorry, I can't.", "", r#"{"memory": "none"}"#, r#"{"other": [1]}"#, r#"{"a": 1, "b": []}"#] {
        assert!(parse_answer(bad, &[], 0, true).unwrap_err().contains("without a list"), "{bad}");
    }
}

#[test]
fn operations_other_than_adding_are_ignored() {
    check(r#"{"memory": [{"text": "a", "event": "DELETE"}, {"text": "b", "event": "ADD"}]}"#, &["b"], false);
}

#[test]
fn links_lead_to_listed_memories_only() {
    let text = r#"{"memory": [{"text": "a", "attributed_to": "Assistant", "sources": [2, "0", 9],
        "linked_memory_ids": ["1", 3, "9", "x", "2"], "supersedes": ["2"]}]}"#;
    let fact = &parse_answer(text, &known(), 3, true).unwrap().facts[0];
    assert_eq!(fact.related, [MemoryId::Number(11), MemoryId::Number(13)]);
    assert_eq!(fact.supersedes, [MemoryId::Number(12)]);
    assert_eq!((fact.sources.as_slice(), &fact.attributed_to), (&[0, 2][..], &Some(Role::Assistant)));
}

#[test]
fn ten_thousand_facts_are_parsed() {
    let items: Vec<Value> = (0..10_000).map(|n| serde_json::json!({"text": format!("fact {n}")})).collect();
    let text = serde_json::json!({"memory": items}).to_string();
    assert_eq!(parse_answer(&text, &[], 0, true).unwrap().facts.len(), 10_000);
    let cut = parse_answer(&text[..text.len() / 2], &[], 0, false).unwrap();
    assert!(cut.cut && cut.facts.len() > 4000, "{}", cut.facts.len());
}
