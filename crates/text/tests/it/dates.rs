//! Dates, time words and speakers in texts and questions.

use mnemon_text::dates::{asks_what_other_said, asks_when, date_parts, from_ymd, holds_time_word, in_first_person};
use proptest::prelude::*;

#[test]
fn dates_are_found_in_texts() {
    let check = |text: &str, months: &[u8], years: &[u16], days: &[u8]| {
        let parts = date_parts(text);
        assert_eq!(parts.months().collect::<Vec<_>>(), months, "months of {text:?}");
        assert_eq!(parts.years().collect::<Vec<_>>(), years, "years of {text:?}");
        assert_eq!(parts.days().collect::<Vec<_>>(), days, "days of {text:?}");
        assert_eq!(parts.is_empty(), months.is_empty() && years.is_empty() && days.is_empty());
    };
    check("", &[], &[], &[]);
    check("On 7 May 2023", &[5], &[2023], &[7]);
    check("MARCH 3rd, between June and July", &[3, 6, 7], &[], &[3]);
    check("the 21st, 22nd and 03rd", &[], &[], &[3, 21, 22]);
    check("2023-05-08", &[], &[2023], &[5, 8]);
    // In a time of day, the hour is before a colon and the minutes are not.
    check("at 9:30", &[], &[], &[30]);
    check("12th: dinner", &[], &[], &[]);
    check("1999, 2100, 20234, 45 and 0", &[], &[], &[]);
    check("mayor 2023s 5kg may_be", &[], &[], &[]);
    check("may\u{301}", &[5], &[], &[]);
    check("sep 5x 5ths", &[], &[], &[]);
}

#[test]
fn dates_of_questions_match_events() {
    let check = |question: &str, (year, month, day), expected| {
        assert_eq!(date_parts(question).fit(&from_ymd(year, month, day)), expected, "{question:?}");
    };
    check("What happened in May?", (2023, 5, 8), 1);
    check("What happened in May 2023?", (2023, 5, 8), 1);
    check("What happened in May 2022?", (2023, 5, 8), 0);
    check("What happened on 8 May?", (2023, 5, 8), 2);
    check("What happened on May 8th, 2023?", (2023, 5, 8), 2);
    check("What happened on 9 May?", (2023, 5, 8), 1);
    check("What happened in 2023?", (2023, 5, 8), 0);
    check("What happened in May?", (1998, 5, 8), 1);
    check("What happened in May 2022?", (1998, 5, 8), 0);
    check("", (2023, 5, 8), 0);
}

#[test]
fn time_words_are_found() {
    let check = |text: &str, expected| assert_eq!(holds_time_word(text), expected, "{text:?}");
    check("I went YESTERDAY", true);
    check("last weekend", true);
    check("in 1998", true);
    check("since then", true);
    check("two weeks, many years", false);
    check("lasting, maybe, 1800, 2100, 19980", false);
    check("", false);
}

#[test]
fn questions_for_a_time_are_recognised() {
    let check = |text: &str, expected| assert_eq!(asks_when(text), expected, "{text:?}");
    check("When did Ann move?", true);
    check("  \n\x1chow long was it", true);
    check("In which year", true);
    check("WHICH month?", true);
    check("What date is it", true);
    check("what day's best", true);
    check("Whenever", false);
    check("what days", false);
    check("how  long", false);
    check("Since when", false);
    check("when\u{301}", true);
    check("", false);
}

#[test]
fn persons_of_questions_are_recognised() {
    let first = |text: &str, expected| assert_eq!(in_first_person(text), expected, "{text:?}");
    first("What did I say?", true);
    first("What's my job?", true);
    first("Where I'd go", true);
    first("i, My, ME", false);
    first("Is it mined?", false);
    let other = |text: &str, expected| assert_eq!(asks_what_other_said(text), expected, "{text:?}");
    other("What did you recommend?", true);
    other("Which of YOUR earlier Suggestions", true);
    other("you told me", true);
    other("What did I tell you?", false);
    other("Can you? I said", false);
    other("yours said", false);
    // The maximum is thirty characters in between.
    other(&format!("you {} say", "x".repeat(28)), true);
    other(&format!("you {} say", "x".repeat(29)), false);
    other(&format!("you {} say", "é".repeat(28)), true);
    // The nearer "you" counts.
    other(&format!("you {} you say", "x".repeat(40)), true);
}

proptest! {
    #[test]
    fn any_text_is_processed_without_panic(text in any::<String>()) {
        date_parts(&text);
        holds_time_word(&text);
        asks_when(&text);
        in_first_person(&text);
        asks_what_other_said(&text);
    }

    #[test]
    fn a_written_date_is_parsed(year in 2000i32..2100, month in 0usize..12, day in 1u8..=31) {
        let names = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
            "November", "December"];
        let text = format!("{day} {} {year}", names[month]);
        prop_assert_eq!(date_parts(&text), from_ymd(year, month as u8 + 1, day));
    }
}
