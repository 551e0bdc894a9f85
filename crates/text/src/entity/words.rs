//! The words that the entity rules treat as generic, the same as mem0 does. All lists are sorted.

/// Lemmas of head nouns that are not specific without a specific modifier.
#[rustfmt::skip]
pub(crate) const GENERIC_HEADS: &[&str] = &[
    "amount", "approach", "area", "bit", "case", "color", "colour", "day", "degree", "edge", "end", "example",
    "experience", "fact", "feeling", "form", "goal", "idea", "instance", "issue", "item", "kind", "level",
    "look", "lot", "matter", "method", "moment", "month", "number", "outcome", "part", "piece", "place",
    "point", "process", "result", "scale", "section", "shape", "side", "situation", "size", "sort", "step",
    "stuff", "style", "surface", "task", "technique", "thing", "thought", "time", "tool", "topic", "type",
    "way", "week", "year",
];

/// Nouns that name circumstances, such as company or order, and not the thing itself.
#[rustfmt::skip]
pub(crate) const CIRCUMSTANCES: &[&str] = &[
    "collaborative", "final", "first", "group", "individual", "initial", "joint", "last", "main", "next",
    "previous", "side", "solo", "team",
];

/// Adjectives that do not make a phrase specific.
#[rustfmt::skip]
pub(crate) const VAGUE_ADJECTIVES: &[&str] = &[
    "actual", "all", "amazing", "ancient", "another", "any", "available", "awesome", "awful", "bad", "basic",
    "best", "big", "boring", "certain", "collaborative", "common", "complete", "countless", "current", "deep",
    "different", "early", "enormous", "enough", "entire", "excellent", "exciting", "few", "final", "fine",
    "first", "former", "full", "future", "general", "good", "great", "group", "high", "horrible", "huge",
    "important", "individual", "initial", "interesting", "joint", "key", "large", "last", "late", "latest",
    "less", "likely", "little", "long", "low", "main", "major", "many", "minor", "modern", "more", "most",
    "much", "multiple", "narrow", "necessary", "new", "next", "nice", "normal", "numerous", "okay", "old",
    "only", "other", "particular", "past", "poor", "possible", "potential", "previous", "primary", "rare",
    "real", "recent", "regular", "same", "several", "shallow", "short", "side", "similar", "simple", "small",
    "solo", "some", "special", "such", "tall", "team", "terrible", "thick", "thin", "tiny", "total", "true",
    "typical", "unique", "usual", "various", "whole", "wide", "wonderful", "worst",
];

/// Lemmas that are removed from the end of a phrase.
#[rustfmt::skip]
pub(crate) const GENERIC_ENDINGS: &[&str] = &[
    "activities", "activity", "choice", "choices", "content", "data", "details", "effort", "efforts", "info",
    "information", "item", "items", "job", "jobs", "material", "materials", "option", "options", "output",
    "outputs", "product", "products", "result", "results", "stuff", "task", "tasks", "thing", "things",
    "work", "works",
];

/// Capitalised words that are headings rather than names.
#[rustfmt::skip]
pub(crate) const GENERIC_NAMES: &[&str] = &[
    "advantages", "benefits", "conclusion", "cons", "details", "disadvantages", "examples", "features",
    "guidelines", "ideas", "instructions", "introduction", "items", "methods", "notes", "options", "overview",
    "pros", "recommendations", "resources", "steps", "stuff", "suggestions", "summary", "things", "tips",
    "tools", "ways", "works",
];

/// Whether a word is in a sorted list.
pub(crate) fn is_one_of(word: &str, sorted: &[&str]) -> bool {
    sorted.binary_search(&word).is_ok()
}
