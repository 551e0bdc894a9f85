//! The parser of the filter language.

use serde_json::{Map, Value};

use super::field::is_time_key;
use super::limits::{MAX_CONDITIONS, MAX_DEPTH, MAX_LIST_ITEMS};
use super::path::Path;
use super::{
    Bounds, EVENT_TIME, FieldFilter, Filter, FilterError, Ids, Instant, InvalidScopeId, List, Needle, Number, Range,
    Scalar, ScopeFilter, ScopeKey, ScopeTest, Test, check_id,
};

use crate::nfc;

type Result<T> = std::result::Result<T, FilterError>;

impl Filter {
    /// Reads a filter from JSON; see the [module](super) for the language.
    ///
    /// # Errors
    /// [`FilterError`] with the location and advice. An empty object is an error too: a caller that allows "no filter" must
    /// check for it first.
    pub fn parse(value: &Value) -> Result<Self> {
        Parser::default().filter(value, Path::ROOT, 0)
    }

    /// Reads `{key: value}`, where the key is always a field.
    ///
    /// # Errors
    /// Same as [`Filter::parse`]; also if the key is the name of a logical operator.
    pub fn parse_condition(key: &str, value: &Value) -> Result<Self> {
        let path = Path::ROOT;
        let path = path.key(key);
        match Logical::from_name(key) {
            Some(_) => Err(FilterError::UnusableKey { path: path.render() }),
            None => Parser::default().condition(key, value, path, 0),
        }
    }
}

#[derive(Clone, Copy)]
enum Logical {
    And,
    Or,
    Not,
}

impl Logical {
    fn from_name(name: &str) -> Option<Self> {
        match name {
            "AND" | "$and" => Some(Self::And),
            "OR" | "$or" => Some(Self::Or),
            "NOT" | "$not" => Some(Self::Not),
            _ => None,
        }
    }
}

/// Counts conditions and list items to enforce the limits.
#[derive(Default)]
struct Parser {
    conditions: usize,
    items: usize,
}

impl Parser {
    fn filter(&mut self, value: &Value, path: Path<'_>, depth: usize) -> Result<Filter> {
        let Value::Object(map) = value else {
            return Err(FilterError::NotAnObject { path: path.render(), found: kind(value) });
        };
        let depth = self.enter(path, depth, map.len() > 1)?;
        let mut all = None;
        for (key, value) in map {
            let path = path.key(key);
            let part = match Logical::from_name(key) {
                Some(logical) => self.logical(logical, value, path, depth)?,
                None => self.condition(key, value, path, depth)?,
            };
            all = Some(join(all, part, Filter::and));
        }
        all.ok_or_else(|| FilterError::Empty { path: path.render() })
    }

    fn logical(&mut self, logical: Logical, value: &Value, path: Path<'_>, depth: usize) -> Result<Filter> {
        let depth = self.enter(path, depth, true)?;
        let (operator, negated): (fn(Filter, Filter) -> Filter, bool) = match logical {
            Logical::And => (Filter::and, false),
            Logical::Or => (Filter::or, false),
            Logical::Not => (Filter::or, true),
        };
        let joined = match value {
            Value::Array(filters) => {
                let mut joined = None;
                for (index, filter) in filters.iter().enumerate() {
                    joined = Some(join(joined, self.filter(filter, path.index(index), depth)?, operator));
                }
                joined.ok_or_else(|| FilterError::EmptyList { path: path.render() })?
            }
            Value::Object(_) => self.filter(value, path, depth)?,
            other => return Err(FilterError::NotAList { path: path.render(), found: kind(other) }),
        };
        Ok(if negated { !joined } else { joined })
    }

    fn condition(&mut self, key: &str, value: &Value, path: Path<'_>, depth: usize) -> Result<Filter> {
        match ScopeKey::from_name(key) {
            Some(scope) => self.scope(scope, value, path, depth),
            None => self.field(key, value, path, depth),
        }
    }

    fn field(&mut self, key: &str, value: &Value, path: Path<'_>, depth: usize) -> Result<Filter> {
        let filter = |test| Filter::Field(FieldFilter { key: key.to_owned(), test });
        let operators = match value {
            Value::Object(operators) => operators,
            Value::String(text) if text == "*" => {
                self.count(path)?;
                return Ok(filter(Test::Exists));
            }
            Value::Array(_) => return Ok(filter(self.test("in", value, path)?)),
            _ => return Ok(filter(self.test("eq", value, path)?)),
        };
        let mut tests = Vec::new();
        for (operator, operand) in operators {
            if !RANGE_OPERATORS.contains(&operator.as_str()) {
                tests.push(self.test(operator, operand, path.key(operator))?);
            }
        }
        if let Some(range) = range(key, operators, path)? {
            self.count(path)?;
            tests.push(Test::Range(range));
        }
        self.enter(path, depth, tests.len() > 1)?;
        tests.into_iter().map(filter).reduce(Filter::and).ok_or_else(|| FilterError::Empty { path: path.render() })
    }

    fn test(&mut self, operator: &str, operand: &Value, path: Path<'_>) -> Result<Test> {
        self.count(path)?;
        let text = || match operand {
            Value::String(text) => Ok(text),
            Value::Null => Err(FilterError::Null { path: path.render() }),
            other => Err(FilterError::WrongType { path: path.render(), expected: "a string", found: kind(other) }),
        };
        Ok(match operator {
            "eq" => Test::Eq(scalar(operand, path)?),
            "ne" => Test::Ne(scalar(operand, path)?),
            "in" => match self.list(operand, path)? {
                Ok(list) => Test::In(list),
                Err(only) => Test::Eq(only),
            },
            "nin" => match self.list(operand, path)? {
                Ok(list) => Test::NotIn(list),
                Err(only) => Test::Ne(only),
            },
            "contains" => Test::Contains(nfc(text()?).into_owned()),
            "icontains" => Test::IContains(Needle::new(text()?)),
            _ => return Err(FilterError::UnknownOperator { path: path.render() }),
        })
    }

    /// The list, or its value if it has only one.
    fn list(&mut self, value: &Value, path: Path<'_>) -> Result<std::result::Result<List, Scalar>> {
        let items = self.items(value, path)?;
        let mut scalars: Vec<Scalar> = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let path = path.index(index);
            let scalar = scalar(item, path)?;
            if std::mem::discriminant(&scalar) != std::mem::discriminant(scalars.first().unwrap_or(&scalar)) {
                return Err(FilterError::MixedList { path: path.render(), first: kind(&items[0]), found: kind(item) });
            }
            scalars.push(scalar);
        }
        match List::of(scalars) {
            Ok(list) => Ok(Ok(list)),
            Err(only) => only.map(Err).ok_or_else(|| FilterError::EmptyList { path: path.render() }),
        }
    }

    fn scope(&mut self, key: ScopeKey, value: &Value, path: Path<'_>, depth: usize) -> Result<Filter> {
        let filter = |test| Filter::Scope(ScopeFilter { key, test });
        let operators = match value {
            Value::Object(operators) => operators,
            Value::Array(_) => return Ok(filter(self.scope_test(key, "in", value, path)?)),
            _ => return Ok(filter(self.scope_test(key, "eq", value, path)?)),
        };
        self.enter(path, depth, operators.len() > 1)?;
        let mut all = None;
        for (operator, operand) in operators {
            let test = self.scope_test(key, operator, operand, path.key(operator))?;
            all = Some(join(all, filter(test), Filter::and));
        }
        all.ok_or_else(|| FilterError::Empty { path: path.render() })
    }

    fn scope_test(&mut self, key: ScopeKey, operator: &str, operand: &Value, path: Path<'_>) -> Result<ScopeTest> {
        self.count(path)?;
        let ids = match operator {
            "eq" | "ne" => vec![id(operand, path)?],
            "in" | "nin" => {
                let items = self.items(operand, path)?.iter().enumerate();
                items.map(|(index, item)| id(item, path.index(index))).collect::<Result<_>>()?
            }
            "contains" | "icontains" => return Err(FilterError::ScopeOperator { path: path.render(), key }),
            range if RANGE_OPERATORS.contains(&range) => {
                return Err(FilterError::ScopeOperator { path: path.render(), key });
            }
            _ => return Err(FilterError::UnknownOperator { path: path.render() }),
        };
        let ids = Ids::of(ids).ok_or_else(|| FilterError::EmptyList { path: path.render() })?;
        Ok(if matches!(operator, "eq" | "in") { ScopeTest::In(ids) } else { ScopeTest::NotIn(ids) })
    }

    fn items<'v>(&mut self, value: &'v Value, path: Path<'_>) -> Result<&'v [Value]> {
        let Value::Array(items) = value else {
            return Err(FilterError::NotAList { path: path.render(), found: kind(value) });
        };
        self.items += items.len();
        if self.items > MAX_LIST_ITEMS {
            return Err(FilterError::TooManyItems { path: path.render() });
        }
        Ok(items)
    }

    fn count(&mut self, path: Path<'_>) -> Result<()> {
        self.conditions += 1;
        if self.conditions > MAX_CONDITIONS {
            return Err(FilterError::TooManyConditions { path: path.render() });
        }
        Ok(())
    }

    fn enter(&self, path: Path<'_>, depth: usize, deeper: bool) -> Result<usize> {
        let depth = depth + usize::from(deeper);
        if depth > MAX_DEPTH {
            return Err(FilterError::TooDeep { path: path.render() });
        }
        Ok(depth)
    }
}

const RANGE_OPERATORS: [&str; 4] = ["gt", "gte", "lt", "lte"];

fn join(before: Option<Filter>, next: Filter, operator: impl Fn(Filter, Filter) -> Filter) -> Filter {
    match before {
        Some(before) => operator(before, next),
        None => next,
    }
}

/// Whether bounds under this key may be times in any notation.
fn has_time_bounds(key: &str) -> bool {
    is_time_key(key) || [EVENT_TIME, &EVENT_TIME[1..]].contains(&key)
}

/// Combines the range operators of one key to one interval. A day as a bound is the whole day: `lte` includes it, and `gt`
/// begins after it. Under the key of a time, numbers are times since 1970 as well.
fn range(key: &str, operators: &Map<String, Value>, path: Path<'_>) -> Result<Option<Range>> {
    let mut numbers = [None; 4];
    let mut instants = [None; 4];
    for (slot, operator) in RANGE_OPERATORS.into_iter().enumerate() {
        let Some(operand) = operators.get(operator) else { continue };
        let path = path.key(operator);
        let invalid = |found| FilterError::RangeBound { path: path.render(), found };
        match operand {
            Value::Null => return Err(FilterError::Null { path: path.render() }),
            Value::String(text) => {
                let span =
                    if has_time_bounds(key) { Instant::span_of_stored(operand) } else { Instant::parse_span(text) };
                let (first, last) = span.ok_or_else(|| invalid("a string that is not a date"))?;
                instants[slot] = Some(if matches!(operator, "gt" | "lte") { last } else { first });
            }
            other => numbers[slot] = Some(Number::of(other).ok_or_else(|| invalid(kind(other)))?),
        }
    }
    if has_time_bounds(key) && instants.iter().any(Option::is_some) {
        for (number, instant) in numbers.iter_mut().zip(&mut instants) {
            if let Some(number) = number.take() {
                *instant = Some(Instant::from_number(number).ok_or_else(|| FilterError::RangeBound {
                    path: path.render(),
                    found: "a number that is not a time since 1970",
                })?);
            }
        }
    }
    let [gt, gte, lt, lte] = numbers;
    let numbers = Bounds::new(gt, gte, lt, lte);
    let [gt, gte, lt, lte] = instants;
    match (numbers, Bounds::new(gt, gte, lt, lte)) {
        (Some(_), Some(_)) => Err(FilterError::MixedRange { path: path.render() }),
        (Some(numbers), None) => Ok(Some(Range::Number(numbers))),
        (None, Some(instants)) => Ok(Some(Range::Time(instants))),
        (None, None) => Ok(None),
    }
}

fn scalar(value: &Value, path: Path<'_>) -> Result<Scalar> {
    let wrong = || FilterError::WrongType {
        path: path.render(),
        expected: "a string, number or boolean (logical operators are written AND, OR, NOT)",
        found: kind(value),
    };
    match value {
        Value::Null => Err(FilterError::Null { path: path.render() }),
        Value::Bool(bool) => Ok(Scalar::Bool(*bool)),
        Value::String(text) => Ok(Scalar::Text(nfc(text).into_owned())),
        Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Number::of(value).map(Scalar::Number).ok_or_else(wrong)
        }
    }
}

fn id(value: &Value, path: Path<'_>) -> Result<String> {
    let checked = match value {
        Value::String(text) => check_id(text),
        Value::Null => Err(InvalidScopeId::Null),
        _ => Err(InvalidScopeId::NotText),
    };
    checked.map(str::to_owned).map_err(|reason| FilterError::ScopeId { path: path.render(), reason })
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
