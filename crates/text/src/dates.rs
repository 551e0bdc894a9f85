//! Dates and time words in memories and questions, and what a question asks for.
//!
//! The ranking's signals `date`, `when` and `actor` use them. They are for English and match whole words, as defined by
//! Python's `re`.

use crate::tokenize::Runs;
use crate::unicode::{decimal, is_word};

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const TIME_WORDS: [&str; 22] = [
    "yesterday",
    "today",
    "tonight",
    "tomorrow",
    "last",
    "next",
    "ago",
    "week",
    "weekend",
    "month",
    "year",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
    "recently",
    "since",
    "morning",
    "night",
];
const SPEECH_VERBS: [&str; 12] = [
    "recommend",
    "suggest",
    "advise",
    "propose",
    "say",
    "said",
    "tell",
    "told",
    "explain",
    "give",
    "provide",
    "mention",
];

/// The months, years and days of the month that a text names, or those of one date.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DateParts {
    /// Bit m − 1 for month m.
    months: u16,
    /// Bit y − 2000 for the years 2000 to 2099.
    years: u128,
    /// Bit d for day d, 1 to 31.
    days: u32,
}

impl DateParts {
    /// Whether there is no month, year or day.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// How well the dates of a question match the date of an event.
    ///
    /// 1 if the question names the event's month, and its year or no year; 2 if it also names the day of the month; else 0.
    pub fn fit(&self, event: &DateParts) -> u8 {
        let month = self.months & event.months != 0;
        let year = self.years == 0 || self.years & event.years != 0;
        let day = self.days & event.days != 0;
        if month && year { 1 + u8::from(day) } else { 0 }
    }

    /// The months, 1 to 12.
    pub fn months(&self) -> impl Iterator<Item = u8> + use<> {
        let months = self.months;
        (1..=12).filter(move |month| months >> (month - 1) & 1 == 1)
    }

    /// The years, 2000 to 2099.
    pub fn years(&self) -> impl Iterator<Item = u16> + use<> {
        let years = self.years;
        (2000..2100).filter(move |year| years >> (year - 2000) & 1 == 1)
    }

    /// The days of the month, 1 to 31.
    pub fn days(&self) -> impl Iterator<Item = u8> + use<> {
        let days = self.days;
        (1..=31).filter(move |day| days >> day & 1 == 1)
    }
}

/// The dates that a text names: months by their full English name, years from 2000 to 2099, and days. Days are all other
/// numbers from 1 to 31 with one or two digits, with or without `st`, `nd`, `rd` or `th`, except before a colon (`9:30`).
pub fn date_parts(text: &str) -> DateParts {
    let text = text.to_lowercase();
    let mut parts = DateParts::default();
    for (at, word) in Runs::new(&text, is_word) {
        if let Some(month) = MONTHS.iter().position(|&name| name == word) {
            parts.months |= 1 << month;
        } else if let Some(year) = year(word).filter(|&year| year >= 2000) {
            parts.years |= 1 << (year - 2000);
        } else if let Some(day) = day(word)
            && !text[at + word.len()..].starts_with(':')
        {
            parts.days |= 1 << day;
        }
    }
    parts
}

/// The parts of one date. Years outside 2000 to 2099 are left out, as in [`date_parts`], and so are months and days that do
/// not exist.
pub fn from_ymd(year: i32, month: u8, day: u8) -> DateParts {
    DateParts {
        months: if (1..=12).contains(&month) { 1 << (month - 1) } else { 0 },
        years: if (2000..2100).contains(&year) { 1 << (year - 2000) } else { 0 },
        days: if (1..=31).contains(&day) { 1 << day } else { 0 },
    }
}

/// Whether a text has a time word: a month, a weekday, a word such as `yesterday`, or a year from 1900 to 2099.
pub fn holds_time_word(text: &str) -> bool {
    Runs::new(text, is_word)
        .any(|(_, word)| TIME_WORDS.iter().chain(&MONTHS).any(|name| same_word(word, name)) || year(word).is_some())
}

/// Whether a question begins with `when`, `how long`, or a question for a year, month, date or day.
pub fn asks_when(question: &str) -> bool {
    const OPENINGS: [&str; 10] = [
        "when",
        "how long",
        "in which month",
        "in which year",
        "which month",
        "which year",
        "what date",
        "what day",
        "what month",
        "what year",
    ];
    let question = question.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '\x1c'..='\x1f'));
    OPENINGS.iter().any(|opening| after_prefix(question, opening).is_some_and(|rest| !rest.starts_with(is_word)))
}

/// Whether a question is in the first person: it has `I`, `my`, `me`, `mine` or `myself`, in this case.
pub fn in_first_person(question: &str) -> bool {
    Runs::new(question, is_word).any(|(_, word)| matches!(word, "I" | "my" | "me" | "mine" | "myself"))
}

/// Whether a question asks what the other side of the conversation has said: it has `you` or `your`, and within thirty
/// characters of the same question a word that begins with a verb such as `recommend`, `say` or `explain`.
pub fn asks_what_other_said(question: &str) -> bool {
    let mut addressed = None;
    for (at, word) in Runs::new(question, is_word) {
        if let Some(from) = addressed {
            let between: &str = &question[from..at];
            let near = between.chars().nth(30).is_none() && !between.contains('?');
            if near && SPEECH_VERBS.iter().any(|verb| after_prefix(word, verb).is_some()) {
                return true;
            }
        }
        if same_word(word, "you") || same_word(word, "your") {
            addressed = Some(at + word.len());
        }
    }
    false
}

/// The value of `19dd` or `20dd`.
fn year(word: &str) -> Option<u32> {
    let (century, digits) =
        [(1900, "19"), (2000, "20")].into_iter().find_map(|(c, d)| Some((c, word.strip_prefix(d)?)))?;
    let (value, rest) = number(digits);
    (digits.chars().count() == 2 && rest.is_empty()).then_some(century + value)
}

/// The value, 1 to 31, of a day of the month in digits, with or without an ordinal ending.
fn day(word: &str) -> Option<u32> {
    let (value, rest) = number(word);
    let digits = word[..word.len() - rest.len()].chars().count();
    let ending = matches!(rest, "" | "st" | "nd" | "rd" | "th");
    (ending && (1..=2).contains(&digits) && (1..=31).contains(&value)).then_some(value)
}

/// The value of the digits at the beginning of a text (0 if there are none, undefined for more than nine), and the rest.
fn number(text: &str) -> (u32, &str) {
    let rest = text.trim_start_matches(|c| decimal(c).is_some());
    let digits = &text[..text.len() - rest.len()];
    (digits.chars().filter_map(decimal).fold(0, |value: u32, digit| value.wrapping_mul(10).wrapping_add(digit)), rest)
}

fn same_word(word: &str, lower: &str) -> bool {
    after_prefix(word, lower).is_some_and(str::is_empty)
}

/// The rest of a text after `prefix` (ASCII, lower case), ignoring the text's case.
fn after_prefix<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let mut chars = text.chars();
    prefix.chars().all(|p| chars.next().is_some_and(|c| fold(c) == p)).then_some(chars.as_str())
}

/// ASCII lower case, also for the four other characters that Python's `re.IGNORECASE` treats as ASCII letters.
fn fold(c: char) -> char {
    match c {
        'İ' | 'ı' => 'i',
        'ſ' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    }
}
