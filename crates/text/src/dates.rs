//! Dates and time words in memories and questions, and what kind of answer a question wants.
//!
//! These are the cues of the ranking's `date`, `when` and `act` signals. They are English, work on whole words, and
//! mean by a word what Python's `re` does.

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

/// The months, years and days of the month a text names, or those of one date.
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
    /// True if no month, year or day is held.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// How well the dates a question names fit the date of an event.
    ///
    /// 1 if the event's month is named and its year is, or none is; 2 if its day of the month is named too; else 0.
    pub fn fit(&self, event: &DateParts) -> u8 {
        let month = self.months & event.months != 0;
        let year = self.years == 0 || self.years & event.years != 0;
        let day = self.days & event.days != 0;
        if month && year { 1 + u8::from(day) } else { 0 }
    }

    /// The months held, 1 to 12.
    pub fn months(&self) -> impl Iterator<Item = u8> + use<> {
        let months = self.months;
        (1..=12).filter(move |month| months >> (month - 1) & 1 == 1)
    }

    /// The years held, 2000 to 2099.
    pub fn years(&self) -> impl Iterator<Item = u16> + use<> {
        let years = self.years;
        (2000..2100).filter(move |year| years >> (year - 2000) & 1 == 1)
    }

    /// The days of the month held, 1 to 31.
    pub fn days(&self) -> impl Iterator<Item = u8> + use<> {
        let days = self.days;
        (1..=31).filter(move |day| days >> day & 1 == 1)
    }
}

/// The dates a text names: months by their full English name, years from 2000 to 2099, and as days all other numbers
/// from 1 to 31 of one or two digits, with `st`, `nd`, `rd` or `th` or without, but not before a colon (`9:30`).
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

/// The parts of one date. Years outside 2000 to 2099 are left out, as [`date_parts`] does not read them either, and so
/// is a month or day that no calendar has.
pub fn from_ymd(year: i32, month: u8, day: u8) -> DateParts {
    DateParts {
        months: if (1..=12).contains(&month) { 1 << (month - 1) } else { 0 },
        years: if (2000..2100).contains(&year) { 1 << (year - 2000) } else { 0 },
        days: if (1..=31).contains(&day) { 1 << day } else { 0 },
    }
}

/// True if a text holds a word of time: a month, a weekday, a word such as `yesterday`, or a year from 1900 to 2099.
pub fn holds_time_word(text: &str) -> bool {
    Runs::new(text, is_word)
        .any(|(_, word)| TIME_WORDS.iter().chain(&MONTHS).any(|name| same_word(word, name)) || year(word).is_some())
}

/// True if a question begins by asking when or how long, or in which year, month, date or day.
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

/// True if a question is asked in the first person: `I`, `my`, `me`, `mine`, `myself`, written so.
pub fn in_first_person(question: &str) -> bool {
    Runs::new(question, is_word).any(|(_, word)| matches!(word, "I" | "my" | "me" | "mine" | "myself"))
}

/// True if a question asks what the one addressed has said: `you` or `your`, and within thirty characters of the same
/// question a verb such as `recommend`, `say` or `explain`, in any form that begins so.
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

/// The value of the digits a text begins with (0 if there are none, meaningless past nine), and what follows them.
fn number(text: &str) -> (u32, &str) {
    let rest = text.trim_start_matches(|c| decimal(c).is_some());
    let digits = &text[..text.len() - rest.len()];
    (digits.chars().filter_map(decimal).fold(0, |value: u32, digit| value.wrapping_mul(10).wrapping_add(digit)), rest)
}

fn same_word(word: &str, lower: &str) -> bool {
    after_prefix(word, lower).is_some_and(str::is_empty)
}

/// What follows `prefix` (ASCII, lower case) in a text that begins with it in any case.
fn after_prefix<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let mut chars = text.chars();
    prefix.chars().all(|p| chars.next().is_some_and(|c| fold(c) == p)).then_some(chars.as_str())
}

/// Lower case, with the four characters besides that Python's `re.IGNORECASE` takes for ASCII letters.
fn fold(c: char) -> char {
    match c {
        'İ' | 'ı' => 'i',
        'ſ' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    }
}
