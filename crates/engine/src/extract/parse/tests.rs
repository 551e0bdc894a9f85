//! Forms of answers.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn known() -> Vec<MemoryId> {
    (10..14).map(MemoryId::Number).collect()
}

/// Checks the texts of the facts, and whether the answer is truncated.
fn check(text: &str, expected: &[&str], cut: bool) {
    let answer = parse_answer(text, &known(), 3, true).unwrap_or_else(|fault| panic!("{text}: {fault}"));
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
    // Other quotes and punctuation than JSON's. Empty lists in a fact do not say that there are no facts.
    let whole = r#"{"memory": [{"id": "0", "text": "User likes tea.", "sources": [0], "supersedes": []}, {"id": "1", "text": "User lives in Lisbon.", "linked_memory_ids": []}]}"#;
    for [open, close] in [
        ["«", "»"],
        ["»", "«"],
        ["« ", " »"],
        ["‹", "›"],
        ["“", "”"],
        ["„", "“"],
        ["”", "”"],
        ["‘", "’"],
        ["‚", "‘"],
        ["「", "」"],
        ["『", "』"],
        ["《", "》"],
        ["〈", "〉"],
        ["〝", "〞"],
        ["＂", "＂"],
        ["″", "″"],
        ["`", "`"],
        ["`", "´"],
        ["´", "´"],
        ["\\\"", "\\\""],
        ["&quot;", "&quot;"],
        ["'", "'"],
    ] {
        let parts: Vec<&str> = whole.split('"').collect();
        let written = parts.chunks(2).map(|pair| match pair {
            [outside, inside] => format!("{outside}{open}{inside}{close}"),
            rest => rest.concat(),
        });
        forms.push(written.collect());
    }
    forms.push(whole.replace("\": ", "\"：").replace('{', "｛").replace('[', "［").replace("}, ", "}，"));
    forms.push(whole.replace("\": ", "\" => "));
    forms.extend(written_otherwise(whole));
    for key in ["result", "data", "output", "response", "answer", "anything", "facts", "memories"] {
        forms.push(format!(r#"{{"{key}": {plain}}}"#));
        forms.push(format!(r#"{{"{key}": {list}}}"#));
        forms.push(format!(r#"{{"{key}": {texts}}}"#));
        forms.push(format!(r#"{{"{key}": {}}}"#, quoted(plain)));
    }
    forms
}

/// The same facts in other languages than JSON, and in objects that the prompt does not ask for.
fn written_otherwise(whole: &str) -> Vec<String> {
    let quoted = |text: &str| Value::from(text).to_string();
    let (tea, lisbon) = ("User likes tea.", "User lives in Lisbon.");
    vec![
        format!(r#"{{"type": "object", "properties": {{"memory": [{{"text": "{tea}"}}, {{"text": "{lisbon}"}}]}}}}"#),
        format!(r#"{{"type": "function", "function": {{"name": "memories", "parameters": {whole}}}}}"#),
        format!(r#"{{"tool_calls": [{{"type": "function", "function": {{"arguments": {}}}}}]}}"#, quoted(whole)),
        format!(r#"{{"type": "tool_use", "id": "x", "name": "memories", "input": {whole}}}"#),
        format!("<tool_call>\n{{\"name\": \"memories\", \"arguments\": {whole}}}\n</tool_call>"),
        format!(r#"{{"status": "ok", "count": 2, "found": [{{"text": "{tea}"}}, {{"text": "{lisbon}"}}]}}"#),
        format!(r#"{{"Memory": [{{"Text": "{tea}"}}, {{"Text": "{lisbon}"}}]}}"#),
        format!(r#"{{"MEMORIES": [{{"FACT": "{tea}"}}, {{"Fact": "{lisbon}"}}]}}"#),
        format!(r#"{{"memory": "{tea}", "memories": ["{lisbon}"]}}"#)
            .replace("\"memory\": \"User likes tea.\"", "\"memory\": [\"User likes tea.\"]"),
        format!(r#"{{"memory": [{{"text": ["{tea}"]}}, {{"text": "{lisbon}"}}]}}"#),
        format!(r#"{{"memory": [{{"text": ["{tea}", "{lisbon}"], "attributed_to": "user"}}]}}"#),
        format!(r#"{{"memory": [{{"text": {{"value": "{tea}"}}}}, {{"fact": {{"text": "{lisbon}"}}}}]}}"#),
        format!(r#"{{"memory": [{{"id": "0", "sentence": "{tea}"}}, {{"id": "1", "description": "{lisbon}"}}]}}"#),
        format!(r#"{{"memory": [{{"text": "{tea}"}}], "memory": [{{"text": "{lisbon}"}}]}}"#),
        format!(r#"{{"memory": {{"text": "{tea}"}}, "memory": {{"text": "{lisbon}"}}}}"#),
        format!(r#"{{"memory": [{{"text": "{tea}", "text": "{lisbon}"}}]}}"#),
        format!(r#"{{"memory": {{"user": ["{tea}"], "assistant": ["{lisbon}"]}}}}"#),
        format!(r#"{{"memory": {{"drinks": "{tea}", "home": "{lisbon}"}}}}"#),
        format!(r#"{{"memory": "- {tea}\n- {lisbon}"}}"#),
        format!("\"{tea}\"\n\"{lisbon}\""),
        format!("\"{tea}\",\n\"{lisbon}\""),
        format!("Fact 1: {tea}\nFact 2: {lisbon}"),
        format!("**1.** {tea}\n**2.** {lisbon}"),
        format!("memory:\n  - text: {tea}\n    attributed_to: user\n  - text: {lisbon}\n    attributed_to: user\n"),
        format!(
            "memory:\n- id: 0\n  text: \"{tea}\"\n  sources: [0]\n  linked_memory_ids: [\"1\"]\n- id: 1\n  text: '{lisbon}'\n  supersedes: []"
        ),
        format!("memory:\n  - text: >\n      User likes\n      tea.\n    sources:\n      - 0\n  - text: {lisbon}\n"),
        format!("facts:\n- {tea}\n- {lisbon}"),
        format!("- text: {tea}\n- text: {lisbon}"),
        format!("1. **Text:** {tea}\n2. **Text:** {lisbon}"),
        format!("text: {tea}\ntext: {lisbon}"),
        format!("<memory><text>{tea}</text></memory><memory><text>{lisbon}</text></memory>"),
        format!("<facts>\n  <fact id=\"0\">{tea}</fact>\n  <fact id='1'>{lisbon}</fact>\n</facts>"),
        format!(
            "<?xml version=\"1.0\"?>\n<memories><memory id=\"0\"><text><![CDATA[{tea}]]></text></memory><memory><text>{lisbon}</text></memory></memories>"
        ),
        format!("<memory><item text=\"{tea}\"/><item text=\"{lisbon}\"/></memory>"),
        format!("<ul><li>{tea}</li><li>{lisbon}</li></ul>"),
        format!("| id | text |\n|---|---|\n| 0 | {tea} |\n| 1 | {lisbon} |"),
        format!("| # | Fact | attributed_to |\n|:-:|:--|---|\n| 1 | **{tea}** | user |\n| 2 | {lisbon} | user |"),
        format!("id,text\n0,{tea}\n1,\"{lisbon}\""),
        format!("id\ttext\n0\t{tea}\n1\t{lisbon}"),
    ]
}

#[test]
fn one_fact_is_found_in_every_form() {
    for form in [
        r#"{"memory": "User likes tea."}"#,
        r#"{"facts": "User likes tea."}"#,
        r#"{"Memory": "User likes tea.", "id": "0"}"#,
        r#"{"memory": {"text": "User likes tea."}}"#,
        r#"{"memory": [{"text": "User likes tea."}, {"text": ""}]}"#,
        r#"{"memory": ["User likes tea.", null, "", {}]}"#,
        r#"{"memory": [], "facts": ["User likes tea."]}"#,
        "text: User likes tea.",
        "<memory>User likes tea.</memory>",
        "- text: User likes tea.\n  sources: []",
        "| text |\n|---|\n| User likes tea. |",
    ] {
        check(form, &["User likes tea."], false);
    }
    check("- Uses [Notion] and {braces} daily.", &["Uses [Notion] and {braces} daily."], false);
    // Of what can't be read, the rest is asked for.
    check(r#"{"memory": [{"text": "User likes tea."}, {"text" User lives in Lisbon.}]}"#, &["User likes tea."], true);
    check("<memory><text>User likes tea.</text></memory><memory><text>User lives", &["User likes tea."], true);
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
        r#"{"memory": ""}"#,
        r#"{"memory": " "}"#,
        r#"{"facts": "none"}"#,
        r#"{"memory": "No facts found."}"#,
        r#"{"Memory": []}"#,
        r#"{"memory": [""]}"#,
        r#"{"memory": [{}]}"#,
        r#"{"memory": [null]}"#,
        r#"{"memory": [{"id": "0", "text": "", "sources": []}]}"#,
        r#"{"type": "object", "properties": {"memory": []}}"#,
        "{«memory»: []}",
        "｛「memory」：［］｝",
        "memory: []",
        "```yaml\nmemory: []\n```",
        "<memory></memory>",
        "<memories/>",
        "There are no facts worth remembering.",
        "No new information was found to extract.",
        "Keine Fakten",
        "无",
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
        r#"{"memory": "I'm sorry, but I can't help with that."}"#,
        r#"{"thoughts": "There is tea in it.", "error": ["No list of facts."]}"#,
        // The schema of the answer.
        r#"{"type": "object", "properties": {"memory": {"type": "array", "items": {"type": "object", "properties":
            {"id": {"type": "string"}, "text": {"type": "string", "description": "The fact itself."}}, "required": ["text"]}}}}"#,
        "<html><body><ul><li>The server is busy now.</li></ul></body></html>",
        "<error>The service is busy now.</error>",
        "| a | b |\n| c | d |",
    ] {
        assert!(parse_answer(text, &[], 0, true).is_err(), "{text}");
    }
}

/// An answer that is not understood is never taken as one without facts, also if it has empty lists.
#[test]
fn an_unreadable_answer_is_not_nothing() {
    let whole = r#"{"memory": [{"id": "0", "text": "User likes tea.", "sources": [0], "linked_memory_ids": [], "supersedes": []}]}"#;
    for [open, close] in [["¿", "?"], ["<<", ">>"], ["¬", "¬"], ["|", "|"], ["⟦", "⟧"], ["''", "''"], ["~", "~"]]
    {
        let parts: Vec<&str> = whole.split('"').collect();
        let written = parts.chunks(2).map(|pair| match pair {
            [outside, inside] => format!("{outside}{open}{inside}{close}"),
            rest => rest.concat(),
        });
        let text: String = written.collect();
        let answer = parse_answer(&text, &[], 1, true);
        assert!(answer.as_ref().map_or(true, |answer| !answer.facts.is_empty()), "{text}: {answer:?}");
    }
    for text in [
        "text = User likes tea; sources = []",
        "The fact is tea.\nsources: []",
        "id=0 text=\"User likes tea\" linked=[]",
        "(memory ((text User likes tea) (sources []))",
        "memory[0].text: tea\nmemory[0].sources: []",
        "supersedes: []",
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
    fn any_text_is_parsed_without_panic(text in ".{0,200}", form in 0_usize..200, at in 0_usize..200) {
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
    for bad in ["Sorry, I can't.", "", r#"{"memory": 0}"#, r#"{"other": [1]}"#, r#"{"a": 1, "b": []}"#] {
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
