//! The reason of a failure in a page of HTML, or in XML.

/// Elements whose content is the reason, in XML.
const MESSAGES: [&str; 4] = ["message", "faultstring", "errormessage", "detail"];
/// Elements whose content is the reason, in a page.
const HEADINGS: [&str; 3] = ["title", "h1", "h2"];
/// Elements without text for readers.
const HIDDEN: [&str; 3] = ["script", "style", "noscript"];

/// What a page says, in one line: its message, its title and headings, or its text.
pub(super) fn reason(page: &str) -> String {
    let of = |name: &&str| content(page, name).map(text).filter(|text| !text.is_empty());
    if let Some(message) = MESSAGES.iter().find_map(of) {
        return message;
    }
    let mut headings: Vec<String> = Vec::new();
    for heading in HEADINGS.iter().filter_map(of) {
        if !headings.iter().any(|known| known.contains(&heading)) {
            headings.push(heading);
        }
    }
    if headings.is_empty() { text(page) } else { headings.join(" ") }
}

/// The markup in the first element with a name.
fn content<'p>(page: &'p str, name: &str) -> Option<&'p str> {
    // Keeps the positions of characters.
    let lower = page.to_ascii_lowercase();
    let open = format!("<{name}");
    let start = lower
        .match_indices(&open)
        .map(|(at, _)| at + open.len())
        .find(|at| lower[*at..].starts_with(|char: char| char == '>' || char.is_whitespace()))?;
    let start = start + lower[start..].find('>')? + 1;
    let end = lower[start..].find(&format!("</{name}")).map_or(page.len(), |end| start + end);
    Some(&page[start..end])
}

/// The text of markup, in one line.
fn text(markup: &str) -> String {
    let mut visible = markup.replace("<![CDATA[", "").replace("]]>", "");
    for name in HIDDEN {
        while let Some(hidden) = content(&visible, name).filter(|hidden| !hidden.is_empty()).map(str::to_owned) {
            visible = visible.replacen(&hidden, "", 1);
        }
    }
    let mut text = String::new();
    for part in visible.split('<') {
        // The first part has no tag.
        let shown = if text.is_empty() && !visible.starts_with('<') && visible.starts_with(part) {
            part
        } else {
            part.split_once('>').map_or("", |(_, shown)| shown)
        };
        text.push_str(shown);
        text.push(' ');
    }
    let text = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&nbsp;", " "), ("&amp;", "&")]
        .iter()
        .fold(text, |text, (name, char)| text.replace(name, char));
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
