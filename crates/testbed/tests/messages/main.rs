//! Libraries report facts: no text in their code names a flag, a variable or a command of the `mnemon` program. Only the
//! command line knows these, and adds them to an error. Comments and code under `#[cfg(test)]` do not count.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

const LIBRARIES: [&str; 6] = ["text", "models", "store", "engine", "migrate", "server"];

/// Texts that may name one: the file, a part of the text, and the reason.
const EXCEPTIONS: [(&str, &str, &str); 1] = [(
    "migrate/src/phases/backup/calendar.rs",
    "`mnemon migrate retire` deletes it",
    "the calendar entry is read weeks later, outside the program",
)];

#[test]
fn no_text_of_a_library_names_a_flag_a_variable_or_a_command() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let (mut wrong, mut texts, mut excepted) = (Vec::new(), 0, BTreeSet::new());
    for library in LIBRARIES {
        for file in files(&folder.join(library).join("src")) {
            let name = file.strip_prefix(folder).unwrap().to_string_lossy().replace('\\', "/");
            for text in texts_of(&fs::read_to_string(&file).unwrap()) {
                texts += 1;
                let Some(found) = named(&text) else { continue };
                if let Some(exception) = EXCEPTIONS.iter().find(|(file, part, _)| name == *file && text.contains(part))
                {
                    excepted.insert(exception);
                } else {
                    wrong.push(format!("crates/{name}: `{found}` in {text:?}"));
                }
            }
        }
    }
    assert!(texts > 1_000, "only {texts} texts were found");
    assert_eq!(excepted.len(), EXCEPTIONS.len(), "an exception is no longer needed");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn texts_of_tests_and_comments_do_not_count() {
    let source = r##"
        //! "--a"
        /// "--b"
        #[error("--c {x}")]
        struct A;
        #[cfg(test)]
        const B: &str = "--d";
        fn f() { g("--e", r#"--f"#, b"--g", 'h'); }
        #[cfg(test)]
        mod tests { const I: &str = "--i"; }
        const J: &str = "mnemon \
                         list";
    "##;
    assert_eq!(texts_of(source), ["--c {x}", "--e", "--f", "mnemon list"]);
}

#[test]
fn flags_variables_and_commands_are_recognized() {
    for (text, expected) in [
        ("give another --target", Some("--target")),
        ("(--to-dims N)", Some("--to-dims")),
        ("set MNEMON_LLM", Some("MNEMON_LLM")),
        ("`mnemon doctor` checks it", Some("mnemon doctor")),
        ("SELECT 1 -- all", None),
        ("-----BEGIN KEY-----", None),
        ("a newer Mnemon wrote it", None),
        ("mnemon_store_bytes", None),
    ] {
        assert_eq!(named(text).as_deref(), expected, "{text}");
    }
}

/// The source files of a folder, without those of tests.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        // The stories of the module `conformance` are tests for every store.
        if name == "tests" || name == "conformance" {
            continue;
        }
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// The values of all string literals of the source.
fn texts_of(source: &str) -> Vec<String> {
    let mut texts = Vec::new();
    collect(source.parse().unwrap(), &mut texts);
    texts
}

fn collect(tokens: TokenStream, texts: &mut Vec<String>) {
    let mut skips_item = false;
    let mut after_hash = false;
    for token in tokens {
        let is_attribute = after_hash;
        after_hash = match &token {
            TokenTree::Punct(punct) => punct.as_char() == '#' || (after_hash && punct.as_char() == '!'),
            _ => false,
        };
        match token {
            TokenTree::Group(group) if is_attribute && group.delimiter() == Delimiter::Bracket => {
                let text = group.stream().to_string().replace(' ', "");
                skips_item |= text == "cfg(test)";
                if !text.starts_with("doc=") && !skips_item {
                    collect(group.stream(), texts);
                }
            }
            // The body of the item ends it.
            TokenTree::Group(group) if skips_item => skips_item = group.delimiter() != Delimiter::Brace,
            TokenTree::Punct(punct) if skips_item && punct.as_char() == ';' => skips_item = false,
            TokenTree::Group(group) => collect(group.stream(), texts),
            TokenTree::Literal(literal) if !skips_item => {
                texts.extend(syn::parse_str::<syn::LitStr>(&literal.to_string()).ok().map(|text| text.value()));
            }
            _ => {}
        }
    }
}

/// The first flag, variable or command that a text names.
fn named(text: &str) -> Option<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    for (start, marker) in ["--", "MNEMON_", "mnemon "].iter().flat_map(|marker| text.match_indices(marker)) {
        let rest = &text[start + marker.len()..];
        let word: String = rest.chars().take_while(|c| is_part(*c)).collect();
        let begins = |kind: fn(&char) -> bool| word.chars().next().is_some_and(|first| kind(&first));
        let is_named = match marker {
            "--" => !text[..start].ends_with('-') && begins(char::is_ascii_lowercase),
            "MNEMON_" => begins(char::is_ascii_uppercase),
            _ => begins(char::is_ascii_lowercase),
        };
        if is_named {
            return Some(format!("{marker}{word}"));
        }
    }
    None
}
