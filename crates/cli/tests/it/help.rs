//! `--help` of every command.

use crate::sandbox::Sandbox;

fn help(sandbox: &Sandbox, command: &[&str]) -> String {
    let result = sandbox.run(&[command, &["--help"]].concat());
    assert_eq!((result.code, result.stderr.as_str()), (0, ""), "{command:?}");
    result.stdout
}

/// The commands that a help text lists.
fn subcommands(help: &str) -> Vec<String> {
    let Some((_, list)) = help.split_once("Commands:\n") else { return Vec::new() };
    let lines = list.lines().take_while(|line| line.starts_with("  "));
    // Continuation lines are indented further.
    let names = lines.filter(|line| !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

#[test]
fn every_command_has_the_help_in_its_snapshot() {
    let sandbox = Sandbox::new();
    let mut commands: Vec<Vec<String>> = vec![Vec::new()];
    let mut checked = 0;
    while let Some(command) = commands.pop() {
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        let text = help(&sandbox, &words);
        assert!(text.contains("--json") && text.contains("--store"), "{command:?}");
        for name in subcommands(&text) {
            commands.push([command.clone(), vec![name]].concat());
        }
        sandbox.snapshot(&format!("help_{}", words.join("_")), &text);
        checked += 1;
    }
    assert!(checked >= 35, "{checked}");
}

#[test]
fn the_version_and_a_call_without_a_command() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run(&["--version"]).stdout, format!("mnemon {}\n", env!("CARGO_PKG_VERSION")));
    let result = sandbox.run(&[]);
    assert_eq!((result.code, result.stdout.as_str()), (2, ""));
}
