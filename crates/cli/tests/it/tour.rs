//! `mnemon tour`.

use crate::sandbox::Sandbox;

#[test]
fn the_tour_finds_the_right_memories() {
    let sandbox = Sandbox::new();
    let result = sandbox.run(&["tour"]);
    assert_eq!((result.code, result.stderr.as_str()), (0, ""));
    assert!(result.stdout.lines().count() <= 60, "{}", result.stdout);
    assert!(result.stdout.lines().all(|line| line.chars().count() <= 100), "{}", result.stdout);
    // The user's own store is not touched.
    assert!(!sandbox.path("store.db").exists());

    let output = sandbox.json(&["tour"]);
    let best = |at: usize| output["questions"][at]["results"][0]["memory"].as_str().unwrap().to_owned();
    assert!(best(0).contains("allergic to walnuts"), "{}", best(0));
    assert!(best(1).contains("pottery"), "{}", best(1));
    assert!(best(3).contains("gearbox"), "{}", best(3));
    let iris = output["questions"][4]["results"].to_string();
    assert!(!iris.contains("boathouse") && !iris.contains("marlow"), "{iris}");
    assert!(best(5).contains("4417"), "{}", best(5));
    let events: Vec<&str> =
        output["corrected"]["history"].as_array().unwrap().iter().map(|row| row["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["ADD", "UPDATE", "DELETE"]);
}

#[test]
fn two_tours_are_the_same() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run(&["tour"]).stdout, sandbox.run(&["tour"]).stdout);
}

#[test]
fn the_commands_to_try_next_work() {
    let sandbox = Sandbox::new();
    sandbox.file("chat.json", r#"[{"role": "user", "content": "Good morning"}]"#);
    let output = sandbox.json(&["tour"]);
    for command in output["next"].as_array().unwrap() {
        let words = words(command.as_str().unwrap());
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        assert_eq!(words[0], "mnemon");
        let result = sandbox.run(&words[1..]);
        assert_eq!(result.code, 0, "{command}: {}", result.stderr);
    }
}

/// Splits a command line like a shell: at blanks outside quotes.
fn words(line: &str) -> Vec<String> {
    let quoted = line.split('\'').enumerate();
    let parts = quoted.flat_map(|(at, part)| match at % 2 {
        0 => part.split_whitespace().map(str::to_owned).collect(),
        _ => vec![part.to_owned()],
    });
    parts.collect()
}
