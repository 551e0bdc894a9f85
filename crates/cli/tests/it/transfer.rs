//! `import`, `export`, `doctor`: in, out, and whether it is sound.

use serde_json::json;

use crate::place::{Place, check_refused};

#[test]
fn an_export_makes_the_same_store() {
    let place = Place::new();
    let first = place.add("ana", "Clara moved to Vienna");
    place.run(&["add", "我喜欢喝茶 🍵", "--user", "ana", "--session", "s", "--link", &first]);
    place.json(&["update", &first, "Clara moved to Linz"]);
    let written = place.json(&["export", "all.jsonl"]);
    assert_eq!((&written["exported"]["memories"], &written["exported"]["links"]), (&json!(2), &json!(1)));
    assert!(!place.path("all.jsonl.part").exists());

    let copy = ["--store", "sqlite:copy.db"];
    let imported = place.json(&[&["import", "all.jsonl"][..], &copy].concat());
    place.snapshot_json("import", &imported);
    for args in [&["list"][..], &["history", &first], &["get", &first]] {
        assert_eq!(place.json(&[args, &copy].concat()), place.json(args), "{args:?}");
    }
    let again = place.run(&["export", "-", "--store", "sqlite:copy.db"]);
    assert_eq!(again.stdout, std::fs::read_to_string(place.path("all.jsonl")).unwrap());
    assert!(again.stderr.starts_with("exported 2 memories"), "{}", again.stderr);

    let ran = place.run_with(&[&["import", "-"][..], &copy].concat(), &again.stdout);
    assert_eq!((ran.code, ran.stdout.contains("unchanged  2")), (0, true), "{}", ran.stdout);
}

#[test]
fn what_a_file_is_need_not_be_told() {
    let place = Place::new();
    for (name, content, format, memories) in [
        ("a.txt", "one\ntwo\n\nthree", "text", 3),
        ("b.json", r#"[{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}]"#, "chat", 2),
        ("c.jsonl", r#"{"id": 7, "payload": {"data": "from mem0", "user_id": "ana"}}"#, "points", 1),
    ] {
        let file = place.file(name, content);
        let imported = place.json(&["import", &file, "--user", "ana"]);
        assert_eq!(
            (&imported["format"], &imported["stored"]["memories"]),
            (&json!(format), &json!(memories)),
            "{name}"
        );
    }
    assert_eq!(place.json(&["get", "7"])["memory"], "from mem0");
}

#[test]
fn refused_lines_are_told_and_the_others_stored() {
    let place = Place::new();
    let mut lines = String::from("{\"id\": 1, \"payload\": {\"data\": \"good\", \"user_id\": \"ana\"}}\n");
    for _ in 0..25 {
        lines.push_str("{\"id\": \"nonsense\", \"payload\": {}}\n");
    }
    let file = place.file("points.jsonl", &lines);
    let ran = place.run(&["import", &file]);
    assert_eq!((ran.code, ran.stderr.as_str()), (1, ""));
    assert_eq!(ran.stdout.lines().filter(|line| line.starts_with("  line ")).count(), 20);
    assert!(ran.stdout.contains("refused    25 lines") && ran.stdout.contains("and 5 more"), "{}", ran.stdout);
    let ran = place.run(&["import", &file, "--json"]);
    let told: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((ran.code, told["refused"].as_array().unwrap().len(), &told["unchanged"]), (1, 25, &json!(1)));
    assert_eq!(place.texts(&["list"]), ["good"]);
}

#[test]
fn an_export_never_takes_the_place_of_a_store() {
    let place = Place::new();
    place.add("ana", "x");
    check_refused(&place, &["export", "store.db"], 4, "destroy");
    check_refused(&place, &["export", "."], 2, "- for stdout");
    check_refused(&place, &["export", "no/such/folder.jsonl"], 1, "folder.jsonl");
    assert_eq!(place.texts(&["list"]), ["x"]);
}

#[test]
fn a_cut_export_is_refused_whole() {
    let place = Place::new();
    place.add("ana", "x");
    let whole = place.run(&["export"]).stdout;
    let cut = place.file("cut.jsonl", &whole[..whole.len() / 2]);
    check_refused(&place, &["import", &cut, "--store", "sqlite:new.db"], 2, "Nothing was imported");
    assert_eq!(place.json(&["stats", "--store", "sqlite:new.db"])["store"]["memories"], json!(0));
    let text = place.file("text.txt", "plain");
    check_refused(&place, &["import", &text], 2, "--user");
    check_refused(&place, &["import", "missing.txt", "--user", "ana"], 1, "missing.txt");
    let empty = place.file("empty.txt", "");
    check_refused(&place, &["import", &empty, "--user", "ana"], 2, "empty");
}

#[test]
fn the_doctor_tells_findings_by_its_exit_code() {
    let place = Place::new();
    check_refused(&place, &["doctor"], 1, "mnemon add");
    let id = place.add("ana", "x");
    let sound = place.json(&["doctor"]);
    assert_eq!((&sound["ok"], &sound["findings"]), (&json!(true), &json!([])));
    assert!(place.run(&["doctor"]).stdout.ends_with("all is well\n"));

    // A link that leads nowhere comes with an import.
    let export = place.run(&["export"]).stdout;
    let link = format!(
        r#"{{"link": {{"source": "{id}", "target": 7, "kind": "related", "created_at": "2024-01-01T00:00:00Z"}}}}"#
    );
    let (before, end) = export.trim_end().rsplit_once('\n').unwrap();
    let end = end.replace(r#""links":0"#, r#""links":1"#);
    let file = place.file("odd.jsonl", &format!("{before}\n{link}\n{end}\n"));
    let ran = place.run(&["import", &file, "--store", "sqlite:odd.db"]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let ran = place.run(&["doctor", "--store", "sqlite:odd.db"]);
    assert_eq!(ran.code, 3, "{}", ran.stdout);
    assert!(ran.stdout.contains("link_to_nothing: 1"), "{}", ran.stdout);
}

#[test]
fn what_is_no_store_is_left_as_it_is() {
    let place = Place::new();
    place
        .file("notes.txt", "not a database, but long enough to be taken for one at a glance, as files often are, alas");
    check_refused(&place, &["list", "--store", "sqlite:notes.txt"], 1, "was left as it is");
    check_refused(&place, &["list", "--store", "sqlite:."], 1, "folder");
}

#[cfg(unix)]
#[test]
fn a_pipe_is_read_whole() {
    let place = Place::new();
    let lines: String = (0..5000).map(|number| format!("fact number {number}\n")).collect();
    let imported = place.run_with(&["import", "/dev/stdin", "--user", "ana", "--json"], &lines);
    assert_eq!(imported.code, 0, "{}", imported.stderr);
    assert_eq!(place.json(&["list", "--user", "ana"])["total"], json!(5000));
    let again = place.run_with(&["import", "-", "--user", "ana", "--json"], &lines);
    assert!(again.stdout.contains("\"unchanged\":5000"), "{}", again.stdout);
}

#[test]
fn only_what_remembers_makes_a_store() {
    let place = Place::new();
    let backup = place.file("backup.jsonl", "precious\n");
    for args in [
        &["export", &backup][..],
        &["list"],
        &["stats"],
        &["doctor"],
        &["search", "x", "--user", "ana"],
        &["get", "1"],
        &["delete", "1"],
    ] {
        check_refused(&place, args, 1, "there is no store");
    }
    assert!(!place.path("store.db").exists());
    assert_eq!(std::fs::read_to_string(&backup).unwrap(), "precious\n");
    place.add("ana", "something");
    check_refused(&place, &["export", "store.db-wal"], 4, "part of one");
}

#[test]
fn a_file_does_not_choose_whose_its_memories_become() {
    let place = Place::new();
    let file = place.file("chat.json", r#"{"messages": [{"role": "user", "content": "hello"}], "user_id": "bob"}"#);
    let ran = place.run(&["import", &file, "--user", "ana"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stdout.contains("user_id=bob"), "{}", ran.stdout);
    assert_eq!(place.json(&["list"])["total"], json!(0));
    assert_eq!(place.json(&["import", &file, "--user", "bob"])["stored"]["memories"], json!(1));
}

#[test]
fn a_log_is_no_list_of_messages() {
    let place = Place::new();
    let file = place.file("log.txt", "[10:32] Ana: hello there\n[10:33] Ben: {not json}\n");
    let imported = place.json(&["import", &file, "--user", "ana"]);
    assert_eq!((&imported["format"], &imported["stored"]["memories"]), (&json!("text"), &json!(2)));
}

#[test]
fn what_is_no_store_is_said_to_be_none_by_every_verb() {
    let place = Place::new();
    place.file("notes.txt", &"just some notes\n".repeat(50));
    for verb in [&["export"][..], &["doctor"], &["list"], &["stats"]] {
        let args = [verb, &["--store", "sqlite:notes.txt"]].concat();
        check_refused(&place, &args, 1, "not a Mnemon store");
    }
}
