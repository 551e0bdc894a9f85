//! Numbers that compare by value, without rounding an integer to a float.

use std::cmp::Ordering;

use serde_json::Value;

/// 2⁶³ and 2⁶⁴: the integers of JSON payloads are in `-TWO_63..TWO_64`.
const TWO_63: f64 = 9_223_372_036_854_775_808.0;
const TWO_64: f64 = 18_446_744_073_709_551_616.0;

/// A JSON number: an integer from -2⁶³ to 2⁶⁴-1, or a finite float. Order and equality are by value: `1` equals `1.0`,
/// `-0.0` equals `0`, and 9007199254740993 does not equal 9007199254740992.0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Number(Repr);

/// `Float` holds only values that `Int` can't: finite values with a fraction or outside the range of integers.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Repr {
    Int(i128),
    Float(f64),
}

impl Number {
    /// The number in a JSON value; `None` for another type.
    pub fn of(value: &Value) -> Option<Self> {
        let Value::Number(number) = value else { return None };
        if let Some(int) = number.as_i64() {
            Some(Self::from(int))
        } else if let Some(int) = number.as_u64() {
            Some(Self::from(int))
        } else {
            Self::from_f64(number.as_f64()?)
        }
    }

    /// The number with this value; `None` for NaN and the infinities.
    pub fn from_f64(float: f64) -> Option<Self> {
        if !float.is_finite() {
            None
        } else if float.fract() == 0.0 && (-TWO_63..TWO_64).contains(&float) {
            Some(Self(Repr::Int(float as i128)))
        } else {
            Some(Self(Repr::Float(float)))
        }
    }

    /// The value as an `i64`, if it is one.
    pub fn as_i64(self) -> Option<i64> {
        match self.0 {
            Repr::Int(int) => i64::try_from(int).ok(),
            Repr::Float(_) => None,
        }
    }

    /// The nearest `f64`.
    pub fn as_f64(self) -> f64 {
        match self.0 {
            Repr::Int(int) => int as f64,
            Repr::Float(float) => float,
        }
    }

    /// Converts the number to JSON. An integral value becomes an integer.
    pub fn to_value(self) -> Value {
        match self.0 {
            Repr::Int(int) => i64::try_from(int).map(Value::from).unwrap_or_else(|_| Value::from(int as u64)),
            Repr::Float(float) => Value::from(float),
        }
    }
}

impl From<i64> for Number {
    fn from(int: i64) -> Self {
        Self(Repr::Int(int.into()))
    }
}

impl From<u64> for Number {
    fn from(int: u64) -> Self {
        Self(Repr::Int(int.into()))
    }
}

// Floats are finite by construction, so equality is total.
impl Eq for Number {}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.0, other.0) {
            (Repr::Int(left), Repr::Int(right)) => left.cmp(&right),
            (Repr::Float(left), Repr::Float(right)) => left.total_cmp(&right),
            (Repr::Int(left), Repr::Float(right)) => int_to_float(left, right),
            (Repr::Float(left), Repr::Int(right)) => int_to_float(right, left).reverse(),
        }
    }
}

/// `float` has a fraction or is outside the range of integers, so that the two are never equal.
fn int_to_float(int: i128, float: f64) -> Ordering {
    // A cast to i128 saturates, and the limits of i128 are far outside the range of `int`: no range check is needed.
    if int <= float.floor() as i128 { Ordering::Less } else { Ordering::Greater }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn check(left: Value, expected: Ordering, right: Value) {
        let (a, b) = (Number::of(&left).unwrap(), Number::of(&right).unwrap());
        assert_eq!(a.cmp(&b), expected, "{left} with {right}");
        assert_eq!(b.cmp(&a), expected.reverse(), "{right} with {left}");
    }

    #[test]
    fn numbers_compare_by_value_without_rounding() {
        use Ordering::*;
        check(json!(1), Equal, json!(1.0));
        check(json!(0), Equal, json!(-0.0));
        check(json!(1), Less, json!(1.5));
        check(json!(-2), Less, json!(-1.5));
        check(json!(-1), Greater, json!(-1.5));
        check(json!(0), Greater, json!(-0.5));
        check(json!(0), Less, json!(5e-324));
        check(json!(9_007_199_254_740_993_i64), Greater, json!(9_007_199_254_740_992_i64));
        check(json!(9_007_199_254_740_993_i64), Greater, json!(9_007_199_254_740_992.0));
        check(json!(u64::MAX), Greater, json!(u64::MAX - 1));
        check(json!(u64::MAX), Less, json!(TWO_64));
        check(json!(u64::MAX), Greater, json!(i64::MAX));
        check(json!(i64::MIN), Equal, json!(-TWO_63));
        check(json!(i64::MIN), Greater, json!(-1e19));
        check(json!(u64::MAX), Less, json!(1e300));
        check(json!(i64::MIN), Greater, json!(-1e300));
        check(json!(1e300), Greater, json!(1e299));
    }

    proptest! {
        #[test]
        fn integers_and_floats_compare_by_exact_value(int: i64, float in -1e19..1e19_f64) {
            let (a, b) = (Number::from(int), Number::from_f64(float).unwrap());
            let exact = i128::from(int).cmp(&(float.floor() as i128));
            let expected = if exact.is_eq() && float.fract() != 0.0 { Ordering::Less } else { exact };
            prop_assert_eq!(a.cmp(&b), expected);
        }

        #[test]
        fn numbers_round_trip_through_json(float in proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL, int: u64) {
            for number in [Number::from_f64(float).unwrap(), Number::from(int)] {
                prop_assert_eq!(Number::of(&number.to_value()), Some(number));
            }
        }
    }
}
