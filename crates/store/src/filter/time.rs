//! Dates as instants: ISO 8601 in the formats that mem0 and its users write.

use std::fmt;

use jiff::civil::{Date, DateTime, Time, date};
use jiff::fmt::temporal::{DateTimeParser, PiecesOffset};
use jiff::{SignedDuration, Timestamp};

static PARSER: DateTimeParser = DateTimeParser::new();

/// An instant between the years 0 and 9999, in nanoseconds. It is stored as civil time in UTC, because [`Timestamp`] ends
/// before the end of 9999, which many programs use for "forever".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(DateTime);

impl Instant {
    /// Reads `YYYY-MM-DD`, alone or with a time (`T` or a space before it), fraction and offset (`Z`, `+02:00`).
    /// Without an offset it is UTC, without a time the first instant of the day. Leading and trailing white space is
    /// ignored. `None` for other formats, such as compact dates (`20240501`, usually a number) and named time zones.
    pub fn parse(text: &str) -> Option<Self> {
        Self::parse_span(text).map(|(first, _)| first)
    }

    /// The first and the last instant of a text, in the formats of [`Instant::parse`]. They are the same
    /// for a text with a time; a day ends a nanosecond before the next one.
    pub fn parse_span(text: &str) -> Option<(Self, Self)> {
        let text = text.trim();
        if !starts_like_a_date(text.as_bytes()) || text.contains('[') {
            return None;
        }
        let pieces = PARSER.parse_pieces(text).ok()?;
        let (first, last) = pieces.time().map_or((Time::midnight(), Time::MAX), |time| (time, time));
        let offset = match pieces.offset() {
            None | Some(PiecesOffset::Zulu) => 0,
            Some(PiecesOffset::Numeric(offset)) => offset.offset().seconds(),
            Some(_) => return None,
        };
        let at = |time: Time| {
            let utc = pieces.date().to_datetime(time).saturating_sub(SignedDuration::from_secs(offset.into()));
            Self(utc.max(date(0, 1, 1).to_datetime(Time::midnight())))
        };
        Some((at(first), at(last)))
    }

    /// The day in UTC.
    pub fn day(self) -> Date {
        self.0.date()
    }

    /// The instant as a [`Timestamp`]; `None` on the last day of 9999, which is out of its range.
    pub fn timestamp(self) -> Option<Timestamp> {
        jiff::tz::TimeZone::UTC.to_timestamp(self.0).ok()
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}Z", self.0)
    }
}

/// A cheap test, because a range evaluates every string.
fn starts_like_a_date(text: &[u8]) -> bool {
    text.len() >= 10 && text[..4].iter().all(u8::is_ascii_digit) && text[4] == b'-' && text[7] == b'-'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn formats_of_the_same_instant() {
        let noon = Instant::parse("2024-05-01T12:00:00Z").unwrap();
        for text in [
            "2024-05-01T12:00:00",
            "2024-05-01 12:00:00",
            "2024-05-01 12:00",
            "2024-05-01t12:00:00z",
            "2024-05-01T12:00:00.000000",
            "2024-05-01T12:00:00.000Z",
            "2024-05-01T12:00:00+00:00",
            "2024-05-01T05:00:00-07:00",
            "2024-05-01T14:00:00.0+0200",
            "2024-05-01 14:00:00+02",
            " 2024-05-01T12:00:00Z ",
        ] {
            assert_eq!(Instant::parse(text), Some(noon), "{text}");
        }
        assert_eq!(noon.to_string(), "2024-05-01T12:00:00Z");
        assert_eq!(noon.timestamp(), "2024-05-01T12:00:00Z".parse().ok());
    }

    #[test]
    fn a_day_lasts_until_the_next_one() {
        let (first, last) = Instant::parse_span("2024-02-29").unwrap();
        assert_eq!((first.to_string().as_str(), first.day()), ("2024-02-29T00:00:00Z", date(2024, 2, 29)));
        assert_eq!((last.to_string().as_str(), last.day()), ("2024-02-29T23:59:59.999999999Z", date(2024, 2, 29)));
        let (first, last) = Instant::parse_span("2024-03-01T01:00:00+02:00").unwrap();
        assert_eq!((first, first.day()), (last, date(2024, 2, 29)));
        assert!(Instant::parse_span("9999-12-31").is_some());
    }

    #[test]
    fn order_and_limits() {
        let ascending = [
            "0000-01-01",
            "1969-12-31T23:59:59.999999999Z",
            "1970-01-01",
            "2024-02-29",
            "2024-05-01",
            "2024-05-01T00:00:00.000001",
            "2024-05-01T00:30:00+00:00",
            "2024-05-01T00:00:00-01:00",
            "9999-12-31",
            "9999-12-31T23:59:59.999999Z",
        ];
        for pair in ascending.windows(2) {
            assert!(Instant::parse(pair[0]).unwrap() < Instant::parse(pair[1]).unwrap(), "{pair:?}");
        }
        assert_eq!(Instant::parse("0000-01-01T00:00:00+10:00").unwrap().to_string(), "0000-01-01T00:00:00Z");
    }

    #[test]
    fn other_texts_are_not_dates() {
        for text in [
            "",
            "yesterday",
            "2024",
            "2024-05",
            "20240501",
            "20240501T120000Z",
            "2024-5-1",
            "2024-13-01",
            "2023-02-29",
            "2024-05-01T",
            "2024-05-01T25:00",
            "2024-05-01T12:00:00 Z",
            "2024-05-01T12:00:00+99:00",
            "2024-05-01T12:00:00[Europe/Paris]",
            "2024-05-01 and later",
            "-002024-05-01",
            "１２３４-05-01",
        ] {
            assert_eq!(Instant::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "[0-9]{4}-[0-9]{2}-[0-9]{2}\\PC{0,20}") {
            let _ = Instant::parse(&text);
        }

        #[test]
        fn instants_round_trip(seconds in -62_167_219_200_i64..253_402_200_000, nanos in 0..1_000_000_000_i32) {
            let text = Timestamp::new(seconds, if seconds < 0 { -nanos } else { nanos }).unwrap().to_string();
            if let Some(instant) = Instant::parse(&text) {
                prop_assert_eq!(Instant::parse(&instant.to_string()), Some(instant));
            }
        }
    }
}
