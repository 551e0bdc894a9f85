//! `retention.ics`: the retention date of a backup as a calendar event (RFC 5545).

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::files::ContentHash;

/// The longest line in octets, without the line break (RFC 5545, 3.1).
const MAX_LINE_OCTETS: usize = 75;

/// An all-day event with an alarm in the morning.
pub(super) fn event(collection: &str, server: &str, folder: &str, created: Timestamp, until: Date) -> String {
    let utc = |at: Timestamp| at.to_zoned(TimeZone::UTC).strftime("%Y%m%dT%H%M%SZ").to_string();
    let day = |date: Date| date.strftime("%Y%m%d").to_string();
    let uid = ContentHash::sha256_of(format!("{server}\n{collection}\n{created}").as_bytes());
    let summary = escape_text(&format!("Backup of {collection} may be deleted"));
    let description = escape_text(&format!(
        "The backup of the Qdrant collection {collection} at {server} was made on {} and is stored in {folder}. It had to \
         be kept for a rollback until today. `mnemon migrate retire` deletes it.",
        created.strftime("%Y-%m-%d")
    ));
    let lines = [
        "BEGIN:VCALENDAR".to_owned(),
        "VERSION:2.0".to_owned(),
        format!("PRODID:-//Mnemon//Mnemon {}//EN", env!("CARGO_PKG_VERSION")),
        "CALSCALE:GREGORIAN".to_owned(),
        "BEGIN:VEVENT".to_owned(),
        format!("UID:{}@mnemon", &uid[..32]),
        format!("DTSTAMP:{}", utc(created)),
        format!("DTSTART;VALUE=DATE:{}", day(until)),
        format!("DTEND;VALUE=DATE:{}", day(until.tomorrow().unwrap_or(until))),
        format!("SUMMARY:{summary}"),
        format!("DESCRIPTION:{description}"),
        "TRANSP:TRANSPARENT".to_owned(),
        "BEGIN:VALARM".to_owned(),
        "ACTION:DISPLAY".to_owned(),
        format!("DESCRIPTION:{summary}"),
        "TRIGGER:PT9H".to_owned(),
        "END:VALARM".to_owned(),
        "END:VEVENT".to_owned(),
        "END:VCALENDAR".to_owned(),
    ];
    lines.iter().map(|line| fold_line(line)).collect()
}

/// Escapes a value of the type TEXT.
fn escape_text(plain: &str) -> String {
    let mut escaped = String::with_capacity(plain.len());
    for c in plain.chars() {
        match c {
            '\\' | ';' | ',' => escaped.extend(['\\', c]),
            '\n' => escaped.push_str("\\n"),
            c if c.is_control() => {}
            c => escaped.push(c),
        }
    }
    escaped
}

/// A content line with its line break, folded between characters.
fn fold_line(line: &str) -> String {
    let mut out = String::with_capacity(line.len() + 8);
    let mut octets = 0;
    for c in line.chars() {
        if octets + c.len_utf8() > MAX_LINE_OCTETS {
            out.push_str("\r\n ");
            octets = 1;
        }
        out.push(c);
        octets += c.len_utf8();
    }
    out.push_str("\r\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folded_lines_unfold_to_the_original() {
        let created: Timestamp = "2026-01-31T23:59:59.5Z".parse().unwrap();
        let name = "größe, a;b\\c — 記憶の集まり".repeat(4);
        let ics = event(&name, "http://q:6333", "/backups", created, Date::constant(2026, 12, 31));
        assert!(ics.split("\r\n").all(|line| line.len() <= MAX_LINE_OCTETS), "{ics}");
        assert!(ics.ends_with("END:VCALENDAR\r\n") && !ics.replace("\r\n", "").contains(['\r', '\n']));
        let unfolded = ics.replace("\r\n ", "");
        for line in ["DTSTAMP:20260131T235959Z", "DTSTART;VALUE=DATE:20261231", "DTEND;VALUE=DATE:20270101"] {
            assert!(unfolded.contains(&format!("\r\n{line}\r\n")), "{line} of {unfolded}");
        }
        let escaped = name.replace('\\', "\\\\").replace(';', "\\;").replace(',', "\\,");
        assert!(unfolded.contains(&format!("SUMMARY:Backup of {escaped} may be deleted\r\n")), "{unfolded}");
    }
}
