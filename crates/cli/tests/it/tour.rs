//! `tour`: every promise on one screen or two.

use crate::place::Place;

#[test]
fn the_tour_shows_what_it_promises() {
    let place = Place::new();
    let ran = place.run(&["tour"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert!(ran.stdout.lines().count() <= 60, "{}", ran.stdout);
    assert!(ran.stdout.lines().all(|line| line.chars().count() <= 100), "{}", ran.stdout);
    // Nothing was stored where the user's own memories are.
    assert!(!place.path("store.db").exists());

    let told = place.json(&["tour"]);
    let best = |at: usize| told["questions"][at]["results"][0]["memory"].as_str().unwrap().to_owned();
    assert!(best(0).contains("allergic to walnuts"), "{}", best(0));
    assert!(best(1).contains("pottery"), "{}", best(1));
    assert!(best(3).contains("gearbox"), "{}", best(3));
    let iris = told["questions"][4]["results"].to_string();
    assert!(!iris.contains("boathouse") && !iris.contains("marlow"), "{iris}");
    assert!(best(5).contains("4417"), "{}", best(5));
    let events: Vec<&str> =
        told["corrected"]["history"].as_array().unwrap().iter().map(|row| row["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["ADD", "UPDATE", "DELETE"]);
}

#[test]
fn two_tours_are_the_same() {
    let place = Place::new();
    assert_eq!(place.run(&["tour"]).stdout, place.run(&["tour"]).stdout);
}

#[test]
fn the_commands_to_try_next_work() {
    let place = Place::new();
    place.file("chat.json", r#"[{"role": "user", "content": "Good morning"}]"#);
    let told = place.json(&["tour"]);
    for command in told["next"].as_array().unwrap() {
        let words = words(command.as_str().unwrap());
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        assert_eq!(words[0], "mnemon");
        let ran = place.run(&words[1..]);
        assert_eq!(ran.code, 0, "{command}: {}", ran.stderr);
    }
}

/// A command line as a shell cuts it: by blanks, but not within quotes.
fn words(line: &str) -> Vec<String> {
    let quoted = line.split('\'').enumerate();
    let parts = quoted.flat_map(|(at, part)| match at % 2 {
        0 => part.split_whitespace().map(str::to_owned).collect(),
        _ => vec![part.to_owned()],
    });
    parts.collect()
}
