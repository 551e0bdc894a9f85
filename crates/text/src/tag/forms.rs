//! Abbreviations, contractions and other forms that the tokenizer has in a list.

/// Where a known form is split, in bytes; 0 means no split.
pub(super) type Splits = [usize; 2];

#[rustfmt::skip]
const PRONOUNS: [&str; 18] = [
    "he", "how", "i", "it", "she", "that", "there", "these", "they", "this", "those", "we", "what", "when",
    "where", "who", "why", "you",
];
#[rustfmt::skip]
const NEGATED: [&str; 24] = [
    "ai", "are", "ca", "could", "dare", "did", "do", "does", "had", "has", "have", "is", "may", "might", "must",
    "need", "ought", "sha", "should", "was", "were", "wo", "would", "",
];
/// Contractions written without the apostrophe, and other forms of two words; sorted.
#[rustfmt::skip]
const FUSED: [(&str, usize); 62] = [
    ("arent", 3), ("cannot", 3), ("cant", 2), ("couldnt", 5), ("didnt", 3), ("doesnt", 4), ("dont", 2),
    ("gonna", 3), ("gotta", 3), ("hadnt", 3), ("hasnt", 3), ("havent", 4), ("hed", 2), ("hes", 2), ("howd", 3),
    ("hows", 3), ("id", 1), ("im", 1), ("isnt", 2), ("itd", 2), ("itll", 2), ("ive", 1), ("mightnt", 5),
    ("mustnt", 4), ("neednt", 4), ("shant", 3), ("shes", 3), ("shouldnt", 6), ("thatd", 4), ("thatll", 4),
    ("thats", 4), ("thered", 5), ("therell", 5), ("theres", 5), ("theyd", 4), ("theyll", 4), ("theyre", 4),
    ("theyve", 4), ("thisll", 4), ("wasnt", 3), ("wed", 2), ("werent", 4), ("weve", 2), ("whatd", 4),
    ("whatll", 4), ("whatre", 4), ("whats", 4), ("whens", 4), ("whered", 5), ("wheres", 5), ("whod", 3),
    ("wholl", 3), ("whos", 3), ("whove", 3), ("whys", 3), ("wont", 2), ("wouldnt", 5), ("yall", 1), ("youd", 3),
    ("youll", 3), ("youre", 3), ("youve", 3),
];
#[rustfmt::skip]
const ABBREVIATIONS: [&str; 104] = [
    "Adm.", "Ak.", "Ala.", "Apr.", "Ariz.", "Ark.", "Aug.", "Bros.", "Calif.", "Co.", "Colo.", "Conn.", "Corp.",
    "D.C.", "Dec.", "Del.", "Dr.", "E.G.", "E.g.", "Feb.", "Fla.", "Ga.", "Gen.", "Gov.", "I.E.", "I.e.", "Ia.",
    "Id.", "Ill.", "Inc.", "Ind.", "Jan.", "Jr.", "Jul.", "Jun.", "Kan.", "Kans.", "Ky.", "La.", "Ltd.", "Mar.",
    "Mass.", "Md.", "Messrs.", "Mich.", "Minn.", "Miss.", "Mo.", "Mont.", "Mr.", "Mrs.", "Ms.", "Mt.", "N.C.",
    "N.D.", "N.H.", "N.J.", "N.M.", "N.Y.", "Neb.", "Nebr.", "Nev.", "Nov.", "Oct.", "Okla.", "Ore.", "Pa.",
    "Ph.D.", "Prof.", "Rep.", "Rev.", "S.C.", "Sen.", "Sep.", "Sept.", "St.", "Tenn.", "Va.", "Wash.", "Wis.",
    "a.m.", "and/or", "co.", "e.g.", "i.e.", "ma'am", "o'clock", "p.m.", "v.s.", "vs.", "w/o", "'cause", "'em",
    "'til", "'bout", "'re", "'ll", "'ve", "'d", "'s", "C++", "c++", "n't", "''",
];

/// Where `s` is split, if it is a known form.
pub(super) fn special(s: &str) -> Option<Splits> {
    if s.len() > 14 || s.len() < 2 {
        return None;
    }
    let bytes = s.as_bytes();
    if !s.is_ascii() && !s.contains('’') {
        return None;
    }
    // The list covers lower case and title case.
    let mut lower = [0u8; 14];
    let lower = &mut lower[..bytes.len()];
    lower.copy_from_slice(bytes);
    lower[0] = lower[0].to_ascii_lowercase();
    let lower = std::str::from_utf8(lower).ok()?;

    if bytes.iter().all(u8::is_ascii_alphabetic) {
        return FUSED.binary_search_by(|(form, _)| (*form).cmp(lower)).ok().map(|at| [FUSED[at].1, 0]);
    }
    if ABBREVIATIONS.contains(&s) || (s.len() == 2 && bytes[1] == b'.' && bytes[0].is_ascii_lowercase()) {
        return Some([0, 0]);
    }
    if bytes[0].is_ascii_digit() {
        let digits = bytes.iter().take_while(|b| b.is_ascii_digit()).count();
        let hour = s[..digits].parse::<u8>().is_ok_and(|hour| (1..=12).contains(&hour));
        return (hour && matches!(&s[digits..], "a.m." | "am" | "p.m." | "pm")).then_some([digits, 0]);
    }
    contraction(lower)
}

fn contraction(lower: &str) -> Option<Splits> {
    let apostrophe = lower.find(['\'', '’'])?;
    let (base, tail) = lower.split_at(apostrophe);
    let clitic = tail.trim_start_matches(['\'', '’']);
    let mark = tail.len() - clitic.len();
    if let Some(negated) = base.strip_suffix('n')
        && NEGATED.contains(&negated)
        && clitic.starts_with('t')
    {
        let at = negated.len();
        let second = apostrophe + mark + 1;
        return match &clitic[1..] {
            "" => Some([at, 0]),
            "'ve" | "’ve" => Some([at, second]),
            _ => None,
        };
    }
    if matches!((base, clitic), ("let", "s") | ("c", "mon") | ("y", "all")) {
        let at = if base == "let" { 3 } else { 1 + mark + usize::from(base == "c") };
        return Some([at, 0]);
    }
    if clitic == "ve" && matches!(base, "could" | "might" | "must" | "should" | "would" | "not") {
        return Some([apostrophe, 0]);
    }
    if !PRONOUNS.contains(&base) {
        return None;
    }
    match clitic {
        "m" | "ll" | "d" | "ve" | "re" | "s" => Some([apostrophe, 0]),
        "ll've" | "ll’ve" => Some([apostrophe, apostrophe + mark + 2]),
        "d've" | "d’ve" => Some([apostrophe, apostrophe + mark + 1]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_forms_are_split() {
        let cases = [
            ("cannot", Some([3, 0])),
            ("Shouldn't've", Some([6, 9])),
            ("a.m.", Some([0, 0])),
            ("12pm", Some([2, 0])),
            ("13pm", None),
            ("Maria's", None),
        ];
        for (form, expected) in cases {
            assert_eq!(special(form), expected, "{form}");
        }
    }

    #[test]
    fn fused_forms_are_sorted() {
        assert!(FUSED.is_sorted());
    }
}
