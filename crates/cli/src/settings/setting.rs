//! What a declaration says about a setting or a variable, and the types that settings have.

use std::time::Duration;

use jiff::{SignedDuration, Span};

/// A setting. Its key in the settings file is a field of `V`; its variable is `MNEMON_` and the key in capitals.
#[cfg_attr(not(test), expect(dead_code, reason = "some fields are for the documentation, which a test writes"))]
pub(super) struct Setting<V> {
    pub(super) key: &'static str,
    /// Heading in the documentation.
    pub(super) group: &'static str,
    /// Lines of the description.
    pub(super) description: &'static [&'static str],
    /// The flag that sets it, or an empty text.
    pub(super) flag: &'static str,
    /// A value to show in the settings file if the default is not to have a value.
    pub(super) example: &'static str,
    /// What applies if the setting has no value.
    pub(super) unset: &'static str,
    /// What a number counts.
    pub(super) unit: &'static str,
    /// Whether the value may hold a password or key, so that it must not be shown.
    pub(super) secret: bool,
    /// Whether the settings file gives it as a string, not as a number or boolean.
    pub(super) quoted: bool,
    /// What to give, for error messages.
    pub(super) expected: &'static str,
    /// Parses a text and sets the field; `None` if the text is not valid.
    pub(super) set: fn(&mut V, &str) -> Option<()>,
    /// The field as text; `None` if it has no value.
    pub(super) get: fn(&V) -> Option<String>,
}

impl<V> Setting<V> {
    /// A setting of which nothing else is declared.
    pub(super) const PLAIN: Self = Self {
        key: "",
        group: "",
        description: &[],
        flag: "",
        example: "",
        unset: "",
        unit: "",
        secret: false,
        quoted: true,
        expected: "",
        set: |_, _| None,
        get: |_| None,
    };

    /// The environment variable.
    pub(super) fn variable(&self) -> String {
        format!("MNEMON_{}", self.key.to_uppercase())
    }
}

/// An environment variable that is not a setting.
#[cfg_attr(not(test), expect(dead_code, reason = "some fields are for the documentation, which a test writes"))]
pub(super) struct Variable {
    pub(super) name: &'static str,
    /// Heading in the documentation.
    pub(super) group: &'static str,
    /// Lines of the description.
    pub(super) description: &'static [&'static str],
    /// The flag that overrides it, or an empty text.
    pub(super) flag: &'static str,
}

/// Declares the struct `Values` with a field for each setting and with their defaults, and the tables `SETTINGS` and
/// `VARIABLES`, in groups. What can be declared of a setting beside type and default are the fields of [`Setting`].
macro_rules! settings {
    ($(
        $group:literal {
            $(
                $(#[doc = $line:literal])+
                $key:ident: $type:ty = $default:expr $(, $fact:ident: $value:expr)*;
            )*
            $(variables {
                $(
                    $(#[doc = $variable_line:literal])+
                    $name:ident $(, flag: $flag:literal)?;
                )+
            })?
        }
    )+) => {
        /// The value of every setting, before settings are combined.
        pub(super) struct Values {
            $($(
                $(#[doc = $line])+
                pub(super) $key: $type,
            )*)+
            /// Where each value that is not a default was given.
            pub(super) origins: std::collections::BTreeMap<&'static str, String>,
        }

        impl Default for Values {
            fn default() -> Self {
                Self {
                    $($($key: $default,)*)+
                    origins: std::collections::BTreeMap::new(),
                }
            }
        }

        /// All settings.
        pub(super) const SETTINGS: &[Setting<Values>] = &[$($(Setting {
            key: stringify!($key),
            group: $group,
            description: &[$($line),+],
            quoted: <$type as SettingType>::QUOTED,
            expected: <$type as SettingType>::EXPECTED,
            set: |values, text| {
                values.$key = SettingType::parse(text)?;
                Some(())
            },
            get: |values| SettingType::show(&values.$key),
            $($fact: $value,)*
            ..Setting::PLAIN
        },)*)+];

        /// All variables that are not settings.
        pub(super) const VARIABLES: &[Variable] = &[$($($(Variable {
            name: stringify!($name),
            group: $group,
            description: &[$($variable_line),+],
            flag: concat!($($flag)?),
        },)+)?)+];
    };
}
pub(super) use settings;

/// A type that settings have.
pub(super) trait SettingType: Sized {
    /// Whether the settings file gives it as a string, not as a number or boolean.
    const QUOTED: bool;
    /// What to give, for error messages.
    const EXPECTED: &'static str;

    /// Parses the text of a variable, flag or file.
    fn parse(text: &str) -> Option<Self>;

    /// The text that [`parse`](Self::parse) reads; `None` if there is no value.
    fn show(&self) -> Option<String>;
}

impl SettingType for String {
    const QUOTED: bool = true;
    const EXPECTED: &'static str = "a text";

    fn parse(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }

    fn show(&self) -> Option<String> {
        Some(self.clone())
    }
}

impl<T: SettingType> SettingType for Option<T> {
    const QUOTED: bool = T::QUOTED;
    const EXPECTED: &'static str = T::EXPECTED;

    fn parse(text: &str) -> Option<Self> {
        T::parse(text).map(Some)
    }

    fn show(&self) -> Option<String> {
        self.as_ref().and_then(T::show)
    }
}

/// Types with the text that the standard library reads and writes.
macro_rules! unquoted {
    ($($type:ty: $expected:literal;)+) => {$(
        impl SettingType for $type {
            const QUOTED: bool = false;
            const EXPECTED: &'static str = $expected;

            fn parse(text: &str) -> Option<Self> {
                text.trim().parse().ok()
            }

            fn show(&self) -> Option<String> {
                Some(self.to_string())
            }
        }
    )+};
}
unquoted! {
    u32: "a whole number";
    f64: "a number such as 0.2";
    bool: "`true` or `false`";
}

/// A time above zero.
impl SettingType for Duration {
    const QUOTED: bool = true;
    const EXPECTED: &'static str = "a time such as `60s` or `2m`";

    fn parse(text: &str) -> Option<Self> {
        let duration: SignedDuration = text.parse().ok()?;
        Self::try_from(duration).ok().filter(|duration| !duration.is_zero())
    }

    fn show(&self) -> Option<String> {
        Some(format!("{:#}", SignedDuration::try_from(*self).ok()?))
    }
}

/// A time of zero or more.
impl SettingType for Span {
    const QUOTED: bool = true;
    const EXPECTED: &'static str = "hours, minutes or seconds, such as `30m` or `1h 30m`";

    fn parse(text: &str) -> Option<Self> {
        let duration: SignedDuration = text.parse().ok()?;
        Self::try_from(duration).ok().filter(|span| !span.is_negative())
    }

    fn show(&self) -> Option<String> {
        Some(format!("{:#}", SignedDuration::try_from(*self).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_parsed() {
        for good in ["30m", "1h 30m", "90 minutes", "0s", "PT2H"] {
            assert!(Span::parse(good).is_some(), "{good}");
            assert_eq!(Duration::parse(good).is_some(), good != "0s", "{good}");
        }
        for bad in ["", "30", "-5m", "1 day", "soon"] {
            assert!(Span::parse(bad).is_none() && Duration::parse(bad).is_none(), "{bad}");
        }
    }
}
