//! Conditions on fields, prepared so that evaluating them allocates nothing.

use std::cmp::Ordering;

use serde_json::Value;

use super::{Instant, Number};
use crate::{keys, nfc};

/// A condition on one payload key that is not a scope key.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldFilter {
    pub(super) key: String,
    pub(super) test: Test,
}

impl FieldFilter {
    /// The payload key, or the name of a memory's session or event time; never a scope key or the name of a logical
    /// operator.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Whether its value is a time that Mnemon wrote, or that another program wrote in its place.
    pub fn is_time(&self) -> bool {
        is_time_key(&self.key)
    }

    /// The test on the value.
    pub fn test(&self) -> &Test {
        &self.test
    }
}

/// Whether the values of a payload key are times.
pub(super) fn is_time_key(key: &str) -> bool {
    [keys::CREATED_AT, keys::UPDATED_AT, keys::EXPIRATION_DATE].contains(&key)
}

/// A test on the value of one field.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// Equal.
    Eq(Scalar),
    /// Not equal, or missing: the complement of `Eq`.
    Ne(Scalar),
    /// Equal to one of these.
    In(List),
    /// Equal to none of these, or missing: the complement of `In`.
    NotIn(List),
    /// Within an interval.
    Range(Range),
    /// A string that contains this one, which is in NFC, or a list with this string.
    Contains(String),
    /// Same as `Contains`, ignoring case.
    IContains(Needle),
    /// Present, with a value other than null and the empty list.
    Exists,
}

/// A value that can be compared. The order is by type, then by value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scalar {
    /// `true` or `false`; never equal to a number.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string, in NFC.
    Text(String),
}

impl Scalar {
    /// Converts the value to JSON.
    pub fn to_value(&self) -> Value {
        match self {
            Self::Bool(bool) => Value::from(*bool),
            Self::Number(number) => number.to_value(),
            Self::Text(text) => Value::from(text.as_str()),
        }
    }

    /// Compares with a JSON value; `None` if that is null, a list or an object.
    pub(super) fn compare(&self, value: &Value) -> Option<Ordering> {
        Some(match (self, value) {
            (_, Value::Null | Value::Array(_) | Value::Object(_)) => return None,
            (Self::Bool(left), Value::Bool(right)) => left.cmp(right),
            (Self::Number(left), Value::Number(_)) => left.cmp(&Number::of(value)?),
            (Self::Text(left), Value::String(right)) => left.as_str().cmp(&*nfc(right)),
            (left, right) => left.rank().cmp(&rank(right)),
        })
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Bool(_) => 0,
            Self::Number(_) => 1,
            Self::Text(_) => 2,
        }
    }
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Bool(_) => 0,
        Value::Number(_) => 1,
        _ => 2,
    }
}

/// Two or more distinct values of one type, sorted. Dereferences to a slice.
#[derive(Clone, Debug, PartialEq)]
pub struct List(Vec<Scalar>);

impl List {
    /// Sorts the items and removes duplicates. The items must have one type.
    ///
    /// # Errors
    /// The remaining value if there is only one; `None` if there are no items.
    pub(super) fn of(mut items: Vec<Scalar>) -> Result<Self, Option<Scalar>> {
        items.sort_unstable();
        items.dedup();
        if items.len() < 2 { Err(items.pop()) } else { Ok(Self(items)) }
    }

    /// Whether the list contains the value.
    pub(super) fn has(&self, value: &Value) -> bool {
        self.0.binary_search_by(|item| item.compare(value).unwrap_or(Ordering::Less)).is_ok()
    }
}

impl std::ops::Deref for List {
    type Target = [Scalar];

    fn deref(&self) -> &[Scalar] {
        &self.0
    }
}

/// An interval of numbers or of instants.
#[derive(Clone, Debug, PartialEq)]
pub enum Range {
    /// An interval of numbers; other values are outside.
    Number(Bounds<Number>),
    /// An interval of instants; strings that are not ISO 8601 dates are outside, and so are numbers.
    Time(Bounds<Instant>),
}

/// The bounds of an interval. At least one is set; a value must satisfy all that are set.
#[derive(Clone, Debug, PartialEq)]
pub struct Bounds<T> {
    gt: Option<T>,
    gte: Option<T>,
    lt: Option<T>,
    lte: Option<T>,
}

impl<T: Copy + PartialOrd> Bounds<T> {
    /// `None` if no bound is set.
    pub fn new(gt: Option<T>, gte: Option<T>, lt: Option<T>, lte: Option<T>) -> Option<Self> {
        let set = gt.is_some() || gte.is_some() || lt.is_some() || lte.is_some();
        set.then_some(Self { gt, gte, lt, lte })
    }

    /// Lower bound, excluded.
    pub fn gt(&self) -> Option<T> {
        self.gt
    }

    /// Lower bound, included.
    pub fn gte(&self) -> Option<T> {
        self.gte
    }

    /// Upper bound, excluded.
    pub fn lt(&self) -> Option<T> {
        self.lt
    }

    /// Upper bound, included.
    pub fn lte(&self) -> Option<T> {
        self.lte
    }

    /// The bounds in another unit.
    pub(super) fn map<U>(&self, map: impl Fn(T) -> U) -> Bounds<U> {
        Bounds { gt: self.gt.map(&map), gte: self.gte.map(&map), lt: self.lt.map(&map), lte: self.lte.map(&map) }
    }

    /// Whether the value satisfies all bounds.
    pub fn contains(&self, value: T) -> bool {
        self.gt.is_none_or(|bound| value > bound)
            && self.gte.is_none_or(|bound| value >= bound)
            && self.lt.is_none_or(|bound| value < bound)
            && self.lte.is_none_or(|bound| value <= bound)
    }
}

/// A text to search for, ignoring case. It is stored in folded form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needle(String);

/// For needles longer than this, a search at every position costs more than a folded copy of the text.
const LONG_NEEDLE: usize = 64;

impl Needle {
    /// Folds the text.
    pub fn new(text: &str) -> Self {
        Self(fold(&nfc(text)).collect())
    }

    /// The folded text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `text` contains the needle.
    pub fn is_in(&self, text: &str) -> bool {
        let text = &*nfc(text);
        if self.0.is_empty() {
            return true;
        }
        if self.0.len() > LONG_NEEDLE {
            return fold(text).collect::<String>().contains(&self.0);
        }
        if text.is_ascii() {
            return text.as_bytes().windows(self.0.len()).any(|part| part.eq_ignore_ascii_case(self.0.as_bytes()));
        }
        let mut needle = self.0.chars();
        let first = needle.next();
        let mut rest = fold(text);
        while let Some(char) = rest.next() {
            if Some(char) == first && starts_with(rest.clone(), needle.clone()) {
                return true;
            }
        }
        false
    }

    /// Whether `text` equals the needle.
    pub fn equals(&self, text: &str) -> bool {
        fold(&nfc(text)).eq(self.0.chars())
    }
}

/// Folds a text to lower case, character by character. The final sigma becomes the normal sigma.
fn fold(text: &str) -> impl Iterator<Item = char> + Clone {
    text.chars().flat_map(char::to_lowercase).map(|char| if char == 'ς' { 'σ' } else { char })
}

fn starts_with(mut text: impl Iterator<Item = char>, mut start: impl Iterator<Item = char>) -> bool {
    start.all(|char| text.next() == Some(char))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn needle_and_text_are_both_folded() {
        for (needle, text, expected) in [
            ("rust", "I like RUST.", true),
            ("RuSt", "rust", true),
            ("rust", "trust", true),
            ("rust", "rus t", false),
            ("ÉCOLE", "une école", true),
            ("Ωδος", "ΩΔΟΣ", true),
            ("i", "İstanbul", true),
            ("k", "\u{212a}elvin", true),
            ("", "", true),
            ("a", "", false),
            ("longer", "long", false),
        ] {
            assert_eq!(Needle::new(needle).is_in(text), expected, "{needle:?} in {text:?}");
        }
        assert!(Needle::new("Über").equals("üBER") && !Needle::new("über").equals("übers"));
    }

    #[test]
    fn folding_is_idempotent() {
        for char in '\0'..=char::MAX {
            let needle = Needle::new(char.encode_utf8(&mut [0; 4]));
            assert_eq!(Needle::new(needle.as_str()), needle, "{char:?}");
        }
    }

    proptest! {
        #[test]
        fn short_and_long_needles_give_the_same_result(text in "[aAbBéÉİσς]{0,90}", start in 0..40_usize, length in 0..90_usize) {
            let part: String = text.chars().skip(start).take(length).collect();
            prop_assert!(Needle::new(&part).is_in(&text));
            prop_assert_eq!(Needle::new(&part).is_in("aAb"), "aab".contains(Needle::new(&part).as_str()));
        }
    }
}
