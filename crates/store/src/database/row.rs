//! Values of columns, and rows of values.

use crate::{Result, StoreError};

/// A value of a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// No value.
    Null,
    /// An integer.
    Int(i64),
    /// Text with any Unicode scalar values, including NUL.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A row of a result. Columns are read by their position, from 0. A value of another type is an error:
/// [`StoreError::Corrupt`].
#[derive(Clone, Debug, PartialEq)]
pub struct Row(pub Vec<Value>);

impl Row {
    /// An integer.
    pub fn int(&self, at: usize) -> Result<i64> {
        self.opt_int(at)?.ok_or_else(|| self.unexpected(at, "a number"))
    }

    /// An integer or null.
    pub fn opt_int(&self, at: usize) -> Result<Option<i64>> {
        match self.0.get(at) {
            Some(Value::Int(number)) => Ok(Some(*number)),
            Some(Value::Null) => Ok(None),
            _ => Err(self.unexpected(at, "a number")),
        }
    }

    /// Text.
    pub fn text(&self, at: usize) -> Result<&str> {
        self.opt_text(at)?.ok_or_else(|| self.unexpected(at, "text"))
    }

    /// Text or null.
    pub fn opt_text(&self, at: usize) -> Result<Option<&str>> {
        match self.0.get(at) {
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(Value::Null) => Ok(None),
            _ => Err(self.unexpected(at, "text")),
        }
    }

    /// Texts or nulls of `N` columns from one on.
    pub fn texts<const N: usize>(&self, from: usize) -> Result<[Option<String>; N]> {
        let mut texts = [const { None }; N];
        for (at, text) in (from..).zip(&mut texts) {
            *text = self.opt_text(at)?.map(str::to_owned);
        }
        Ok(texts)
    }

    /// Bytes.
    pub fn bytes(&self, at: usize) -> Result<&[u8]> {
        self.opt_bytes(at)?.ok_or_else(|| self.unexpected(at, "bytes"))
    }

    /// Bytes or null.
    pub fn opt_bytes(&self, at: usize) -> Result<Option<&[u8]>> {
        match self.0.get(at) {
            Some(Value::Bytes(bytes)) => Ok(Some(bytes)),
            Some(Value::Null) => Ok(None),
            _ => Err(self.unexpected(at, "bytes")),
        }
    }

    fn unexpected(&self, at: usize, expected: &str) -> StoreError {
        let found = match self.0.get(at) {
            None => "no column",
            Some(Value::Null) => "null",
            Some(Value::Int(_)) => "a number",
            Some(Value::Text(_)) => "text",
            Some(Value::Bytes(_)) => "bytes",
        };
        StoreError::Corrupt(format!("column {at} has {found} instead of {expected}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_read_by_type() {
        let row = Row(vec![1.into(), "a".into(), vec![2].into(), None::<i64>.into()]);
        assert_eq!((row.int(0).unwrap(), row.text(1).unwrap(), row.bytes(2).unwrap()), (1, "a", &[2][..]));
        assert_eq!((row.opt_int(3).unwrap(), row.opt_text(3).unwrap(), row.opt_bytes(3).unwrap()), (None, None, None));
        assert_eq!(row.opt_text(1).unwrap(), Some("a"));
        let texts = Row(vec![1.into(), "a".into(), None::<i64>.into()]);
        assert_eq!(texts.texts(1).unwrap(), [Some("a".to_owned()), None]);
        for error in [
            row.int(1).unwrap_err(),
            row.int(3).unwrap_err(),
            row.text(0).unwrap_err(),
            row.bytes(9).unwrap_err(),
            texts.texts::<2>(0).unwrap_err(),
            texts.texts::<3>(1).unwrap_err(),
        ] {
            assert!(matches!(error, StoreError::Corrupt(_)), "{error}");
        }
    }
}
