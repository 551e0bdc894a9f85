//! Times in the notations of mem0, of the store and of callers.

use jiff::civil::Date;
use jiff::{Timestamp, Zoned};
use mnemon_store::filter::Instant;
use mnemon_store::{parse_time, time_text};

/// The current time in mem0's notation: RFC 3339 in UTC with microseconds and a numeric offset.
pub(crate) fn now_text() -> String {
    time_text(Timestamp::now())
}

/// The current date in UTC. Memories whose expiration date is earlier are hidden.
pub(crate) fn today() -> Date {
    Zoned::now().with_time_zone(jiff::tz::TimeZone::UTC).date()
}

/// Truncates a time to microseconds, the precision of the store.
pub(crate) fn in_microseconds(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time)
}

/// Parses a caller's time: RFC 3339, a date, or seconds (or milliseconds) since 1970.
pub fn read_time(text: &str) -> Option<Timestamp> {
    parse_time(text).or_else(|| Instant::from_number_text(text)?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_time_accepts_three_formats() {
        let noon: Timestamp = "2024-05-01T12:00:00Z".parse().unwrap();
        for text in ["2024-05-01T12:00:00Z", "2024-05-01 14:00:00+02:00", "1714564800", "1714564800.0", "1714564800000"]
        {
            assert_eq!(read_time(text), Some(noon), "{text}");
        }
        assert!(read_time("2024-05-01").is_some());
        for bad in ["", "soon", "1e300", "NaN"] {
            assert_eq!(read_time(bad), None, "{bad}");
        }
    }
}
