//! Values in the types of Postgres.
//!
//! Postgres can't store U+0000 in text. Therefore U+0000 is stored as U+0001 U+0001, and U+0001 as U+0001 U+0002. This
//! changes neither the order of texts nor their prefixes.

use std::borrow::Cow;
use std::error::Error;

use postgres::types::private::BytesMut;
use postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use crate::database::Value;
use crate::{Result, StoreError};

/// A parameter of a statement.
#[derive(Debug)]
pub(super) struct Parameter<'a>(pub(super) &'a Value);

impl ToSql for Parameter<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match (self.0, ty) {
            (Value::Null, _) => Ok(IsNull::Yes),
            (Value::Int(number), &Type::INT4) => i32::try_from(*number)?.to_sql(ty, out),
            (Value::Int(number), &Type::INT2) => i16::try_from(*number)?.to_sql(ty, out),
            (Value::Int(number), &Type::BOOL) => (*number != 0).to_sql(ty, out),
            (Value::Int(number), &Type::INT8) => number.to_sql(ty, out),
            (Value::Text(text), ty) if <&str as ToSql>::accepts(ty) => escape(text).to_sql(ty, out),
            (Value::Bytes(bytes), &Type::BYTEA) => bytes.to_sql(ty, out),
            (value, ty) => Err(format!("{value:?} was given for a parameter of type {ty}").into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// A column of a row.
pub(super) fn value_at(row: &postgres::Row, at: usize) -> Result<Value> {
    fn get<'a, T: FromSql<'a>>(row: &'a postgres::Row, at: usize) -> Result<Option<T>> {
        row.try_get(at).map_err(|error| StoreError::Corrupt(error.to_string()))
    }
    Ok(match row.columns()[at].type_() {
        &Type::INT8 => get::<i64>(row, at)?.into(),
        &Type::INT4 => get::<i32>(row, at)?.map(i64::from).into(),
        &Type::INT2 => get::<i16>(row, at)?.map(i64::from).into(),
        &Type::BOOL => get::<bool>(row, at)?.map(i64::from).into(),
        &Type::BYTEA => get::<Vec<u8>>(row, at)?.into(),
        ty if <&str as FromSql<'_>>::accepts(ty) => match get::<&str>(row, at)? {
            Some(text) => Value::Text(unescape(text)?),
            None => Value::Null,
        },
        ty => return Err(StoreError::Database(format!("a column of type {ty}, which is not supported").into())),
    })
}

/// Converts a text to its stored form.
fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(['\u{0}', '\u{1}']) {
        return text.into();
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '\u{0}' => escaped.push_str("\u{1}\u{1}"),
            '\u{1}' => escaped.push_str("\u{1}\u{2}"),
            other => escaped.push(other),
        }
    }
    escaped.into()
}

/// Converts a text from its stored form.
fn unescape(stored: &str) -> Result<String> {
    if !stored.contains('\u{1}') {
        return Ok(stored.to_owned());
    }
    let mut text = String::with_capacity(stored.len());
    let mut characters = stored.chars();
    while let Some(character) = characters.next() {
        text.push(match character {
            '\u{1}' => match characters.next() {
                Some('\u{1}') => '\u{0}',
                Some('\u{2}') => '\u{1}',
                _ => return Err(StoreError::Corrupt("a text contains a U+0001 that Mnemon did not write".into())),
            },
            other => other,
        });
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn text_round_trips_in_the_same_order(a in "[\u{0}-\u{3}a]{0,6}", b in "[\u{0}-\u{3}a]{0,6}") {
            prop_assert_eq!(unescape(&escape(&a)).unwrap(), a.clone());
            prop_assert_eq!(escape(&a).find(char::from(0)), None);
            prop_assert_eq!(escape(&a).cmp(&escape(&b)), a.cmp(&b));
            prop_assert_eq!(escape(&a).starts_with(&*escape(&b)), a.starts_with(&b));
        }
    }

    #[test]
    fn text_of_other_programs_is_refused() {
        for text in ["\u{1}", "a\u{1}b", "\u{1}\u{1}\u{1}"] {
            assert!(matches!(unescape(text), Err(StoreError::Corrupt(_))));
        }
    }
}
