//! Facts in an answer without JSON: one a line.

use mnemon_models::json;

/// Marks of an item of a list.
const BULLETS: [char; 5] = ['-', '*', '•', '–', '·'];
/// How facts begin that are not marked as items.
const SUBJECTS: [&str; 4] = ["User ", "User's ", "Assistant ", "Assistant's "];
/// How lines begin in which the model speaks of itself or to the reader.
const CHATTER: [&str; 54] = [
    "i can't",
    "i can’t",
    "i cannot",
    "i am sorry",
    "i'm sorry",
    "i’m sorry",
    "i apologize",
    "i am unable",
    "i'm unable",
    "i’m unable",
    "i am not able",
    "i'm not able",
    "i will",
    "i'll",
    "i’ll",
    "i should",
    "i need to",
    "i must",
    "i would",
    "i have to",
    "i think",
    "i don't see",
    "i don’t see",
    "i don't have",
    "i do not",
    "i could not",
    "i couldn't",
    "i found",
    "i have extracted",
    "i've extracted",
    "i extracted",
    "i didn't",
    "we need",
    "we should",
    "we must",
    "let me",
    "let's",
    "let’s",
    "sorry",
    "sure",
    "certainly",
    "of course",
    "okay",
    "ok,",
    "here are",
    "here is",
    "here's",
    "here’s",
    "unfortunately",
    "as an ai",
    "please",
    "note:",
    "thanks",
    "thank you",
];
/// Words before the number of a fact.
const NUMBERED: [&str; 4] = ["fact", "memory", "statement", "item"];
/// Most lines of an answer that are not facts: an introduction and a conclusion.
const MAX_OTHER_LINES: usize = 3;

/// The facts of an answer that is a list in plain text, perhaps with a sentence before and after it, or lines about the
/// user. `None` if it is something else, such as a refusal.
pub(super) fn facts(text: &str) -> Option<Vec<String>> {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    // JSON that can't be read.
    if lines.iter().any(|line| line.starts_with(['{', '[', '}', ']']) || line.contains("\":")) {
        return None;
    }
    let mut facts: Vec<String> = lines.iter().filter_map(|line| item(line)).map(plain).collect();
    if facts.is_empty() {
        facts = quoted(&lines);
    }
    if facts.is_empty() {
        facts = lines.iter().map(|line| plain(line)).filter(|line| is_about_a_speaker(line)).collect();
    }
    let others = lines.len() - facts.len();
    let is_list = !facts.is_empty() && others <= MAX_OTHER_LINES.min(facts.len() + 1);
    (is_list && facts.iter().all(|fact| is_statement(fact))).then_some(facts)
}

/// The lines that are a text in quotes, if there are several.
fn quoted(lines: &[&str]) -> Vec<String> {
    let text = |line: &&str| json::quoted(line.trim_end_matches([',', ';'])).map(|text| text.trim().to_owned());
    let texts: Vec<String> = lines.iter().filter_map(text).collect();
    if texts.len() > 1 { texts } else { Vec::new() }
}

/// The content of a line that is marked as an item of a list.
pub(super) fn item(line: &str) -> Option<&str> {
    let line = line.strip_prefix("**").unwrap_or(line);
    let lower = line.to_lowercase();
    let word = NUMBERED.iter().find(|word| lower.starts_with(*word)).map_or(0, |word| word.len());
    let rest = line.strip_prefix(BULLETS).or_else(|| {
        let numbered = line[word..].trim_start().trim_start_matches(['(', '#']);
        let rest = numbered.trim_start_matches(|char: char| char.is_ascii_digit());
        (rest.len() < numbered.len()).then(|| rest.trim_start_matches("**").strip_prefix(['.', ')', ':']))?
    })?;
    let rest = rest.strip_prefix("**").unwrap_or(rest);
    rest.starts_with(char::is_whitespace).then(|| rest.trim())
}

/// A line without the marks of bold text, and without quotes around it.
fn plain(line: &str) -> String {
    let line = line.replace("**", "");
    let line = line.trim().trim_matches(['"', '“', '”', '`']);
    line.trim().to_owned()
}

fn is_about_a_speaker(line: &str) -> bool {
    let line = line.strip_prefix("The ").or_else(|| line.strip_prefix("the ")).unwrap_or(line);
    let mut chars = line.chars();
    let capital = chars.next().map(|first| first.to_uppercase().chain(chars).collect::<String>()).unwrap_or_default();
    SUBJECTS.iter().any(|subject| capital.starts_with(subject)) && line.ends_with(['.', '!', '。'])
}

/// Whether a line can be a fact: it has at least two words, and the model does not speak of itself.
pub(super) fn is_statement(line: &str) -> bool {
    let lower = line.to_lowercase();
    let has_words = line.contains(char::is_whitespace) || !line.is_ascii();
    has_words && !line.ends_with(':') && !CHATTER.iter().any(|words| lower.starts_with(words))
}
