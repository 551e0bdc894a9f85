//! What `--help` says.

use crate::place::Place;

#[test]
fn help_of_the_program_and_of_the_verbs_with_most_options() {
    let place = Place::new();
    for verb in ["", "add", "search", "list", "delete", "doctor", "reembed"] {
        let mut args: Vec<&str> = if verb.is_empty() { vec![] } else { vec![verb] };
        args.push("--help");
        let ran = place.run(&args);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{verb}");
        place.snapshot(&format!("help_{verb}"), &ran.stdout);
    }
}

#[test]
fn every_verb_has_help_and_takes_json() {
    let place = Place::new();
    for verb in [
        "add", "search", "list", "get", "update", "delete", "history", "stats", "import", "export", "doctor",
        "reembed", "tour", "bench", "smoke",
    ] {
        let ran = place.run(&[verb, "--help"]);
        assert!(ran.code == 0 && ran.stdout.contains("--json") && ran.stdout.contains("--store"), "{verb}");
    }
    assert_eq!(place.run(&["--version"]).stdout, format!("mnemon {}\n", env!("CARGO_PKG_VERSION")));
    let ran = place.run(&[]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
}
