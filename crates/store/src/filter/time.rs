//! Dates as instants: ISO 8601 in the formats that mem0 and its users write.

use std::fmt;

use jiff::civil::{Date, DateTime, Time, date};
use jiff::fmt::temporal::{DateTimeParser, PiecesOffset};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::Number;

static PARSER: DateTimeParser = DateTimeParser::new();

/// An instant between the years 0 and 9999, in nanoseconds. It is stored as civil time in UTC, because [`Timestamp`] ends
/// before the end of 9999, which many programs use for "forever".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(DateTime);

impl Instant {
    /// The first and the last instant there is.
    pub(super) const LIMITS: (Self, Self) =
        (Self(date(0, 1, 1).to_datetime(Time::midnight())), Self(date(9999, 12, 31).to_datetime(Time::MAX)));

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
            Self(utc).max(Self::LIMITS.0)
        };
        Some((at(first), at(last)))
    }

    /// Reads a number as seconds since 1970; a number from 10^11 on (the year 5138) as milli-, from 10^14 on as micro-, from
    /// 10^17 on as nanoseconds. Microseconds are the precision. `None` outside of the years 0 to 9999.
    pub fn from_number(number: Number) -> Option<Self> {
        let units = match number.as_f64().abs() {
            n if n < 1e11 => 1,
            n if n < 1e14 => 1_000,
            n if n < 1e17 => 1_000_000,
            _ => 1_000_000_000_i64,
        };
        let micros = match number.as_i64() {
            Some(int) => i64::try_from(i128::from(int) * 1_000_000 / i128::from(units)).ok()?,
            None => Some((number.as_f64() * 1e6 / units as f64).round()).filter(|n| n.abs() < 9e18)? as i64,
        };
        let time = Timestamp::from_microsecond(micros).ok()?;
        Some(Self(time.to_zoned(jiff::tz::TimeZone::UTC).datetime())).filter(|instant| *instant >= Self::LIMITS.0)
    }

    /// The same for a number in a text.
    pub fn from_number_text(text: &str) -> Option<Self> {
        let text = text.trim();
        let number = text.parse::<i64>().map(Number::from).ok().or_else(|| Number::from_f64(text.parse().ok()?));
        number.and_then(Self::from_number)
    }

    /// Reads a time as programs store it: in the formats of [`Instant::parse`], as a number, or as a text of at least nine
    /// digits (fewer may be a compact date).
    pub fn of_stored(value: &Value) -> Option<Self> {
        Self::span_of_stored(value).map(|(first, _)| first)
    }

    /// The same with the last instant, as [`Instant::parse_span`].
    pub(super) fn span_of_stored(value: &Value) -> Option<(Self, Self)> {
        let twice = |instant| (instant, instant);
        let is_number = |text: &str| {
            let digits = text.trim_start_matches('-').split('.').next().unwrap_or_default();
            digits.len() >= 9 && text.trim_start_matches('-').bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        };
        match value {
            Value::Number(_) => Self::from_number(Number::of(value)?).map(twice),
            Value::String(text) if is_number(text.trim()) => Self::from_number_text(text).map(twice),
            Value::String(text) => Self::parse_span(text),
            _ => None,
        }
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
    fn numbers_are_read_by_their_size() {
        let noon = Instant::parse("2024-05-01T12:00:00Z").unwrap();
        let of = |value: Value| Instant::of_stored(&value);
        for value in [
            Value::from(1_714_564_800_i64),
            1_714_564_800.0.into(),
            1_714_564_800_000_i64.into(),
            1_714_564_800_000.0.into(),
            1_714_564_800_000_000_i64.into(),
            1_714_564_800_000_000_000_i64.into(),
            "1714564800".into(),
            "1714564800.0".into(),
            " 1714564800000\n".into(),
        ] {
            assert_eq!(of(value.clone()), Some(noon), "{value}");
        }
        assert_eq!(of(0.into()), Instant::parse("1970-01-01"));
        assert_eq!(of((-1).into()), Instant::parse("1969-12-31T23:59:59Z"));
        assert_eq!(of(0.5.into()), Instant::parse("1970-01-01T00:00:00.5Z"));
        assert_eq!(of("-100000000".into()), Instant::parse("1966-10-31T14:13:20Z"));
        for value in
            ["20240501".into(), "1e9".into(), "NaN".into(), Value::Null, true.into(), 1e300.into(), (-1e300).into()]
        {
            assert_eq!(of(value.clone()), None, "{value}");
        }
        assert_eq!(Instant::from_number_text("7"), of(7.into()));
        assert_eq!(Instant::from_number_text("inf"), None);
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
