//! Reads a JSON object field by field and gathers everything that is wrong, instead of stopping at the
//! first thing as a derived deserializer does.

use crate::time;
use serde_json::{Map, Value};
use tpm_domain::{FieldErrors, Reason, Timestamp};

/// An object being read. Fields are taken out; what is left at the end is unknown.
pub(crate) struct Fields<'e> {
    map: Map<String, Value>,
    at: String,
    errors: &'e mut FieldErrors,
}

/// Longest text of any field; the rules of the field come on top.
const MAX_TEXT: usize = 4096;

impl<'e> Fields<'e> {
    /// Reads `map`; `at` is the path of its fields, ending in a dot or empty.
    pub(crate) fn new(
        map: Map<String, Value>,
        at: impl Into<String>,
        errors: &'e mut FieldErrors,
    ) -> Self {
        Self {
            map,
            at: at.into(),
            errors,
        }
    }

    /// The path of one of its fields.
    pub(crate) fn path(&self, name: &str) -> String {
        format!("{}{name}", self.at)
    }

    /// Notes that a field is wrong.
    pub(crate) fn wrong(&mut self, name: &str, reason: Reason) {
        self.errors.add(format!("{}{name}", self.at), reason);
    }

    /// Where errors are gathered.
    pub(crate) fn errors(&mut self) -> &mut FieldErrors {
        self.errors
    }

    /// A field that may be missing; `null` is missing.
    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        self.map.remove(name).filter(|value| !value.is_null())
    }

    fn required<T>(&mut self, name: &str, value: Option<T>, before: usize) -> Option<T> {
        if value.is_none() && self.errors.len() == before {
            self.wrong(name, Reason::Required);
        }
        value
    }

    /// A text that may be missing.
    pub(crate) fn text(&mut self, name: &str) -> Option<String> {
        match self.take(name)? {
            Value::String(text) if text.chars().count() > MAX_TEXT => {
                self.wrong(name, Reason::TooLong { max: MAX_TEXT });
                None
            }
            Value::String(text) => Some(text),
            _ => {
                self.wrong(name, Reason::Type { expected: "string" });
                None
            }
        }
    }

    /// A text that must be there.
    pub(crate) fn required_text(&mut self, name: &str) -> Option<String> {
        let before = self.errors.len();
        let text = self.text(name);
        self.required(name, text, before)
    }

    /// A whole number that may be missing. A fraction is of the wrong type, a number too large for us is
    /// as large as can be, so that the field's own bounds are told.
    pub(crate) fn integer(&mut self, name: &str) -> Option<i64> {
        let value = self.take(name)?;
        let number = value.as_i64().or_else(|| value.as_u64().map(|_| i64::MAX));
        if number.is_none() {
            self.wrong(
                name,
                Reason::Type {
                    expected: "integer",
                },
            );
        }
        number
    }

    /// A whole number that must be there.
    pub(crate) fn required_integer(&mut self, name: &str) -> Option<i64> {
        let before = self.errors.len();
        let number = self.integer(name);
        self.required(name, number, before)
    }

    /// A whole number that may also be written as a text, as the reference does with `subnet`.
    pub(crate) fn integer_or_text(&mut self, name: &str) -> Option<i64> {
        match self.map.get(name) {
            Some(Value::String(text)) => {
                let number = text.trim().parse().ok();
                self.map.remove(name);
                if number.is_none() {
                    self.wrong(
                        name,
                        Reason::Type {
                            expected: "integer",
                        },
                    );
                }
                number
            }
            _ => self.integer(name),
        }
    }

    /// A field that may be missing, and may be `null`, which is something else here.
    pub(crate) fn nullable<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<Option<T>> {
        match self.map.get(name) {
            None => None,
            Some(Value::Null) => {
                self.map.remove(name);
                Some(None)
            }
            Some(_) => read(self).map(Some),
        }
    }

    /// A list of texts that may be missing.
    pub(crate) fn texts(&mut self, name: &str) -> Option<Vec<String>> {
        let items = match self.take(name)? {
            Value::Array(items) => items,
            _ => {
                self.wrong(name, Reason::Type { expected: "list" });
                return None;
            }
        };
        let mut texts = Vec::with_capacity(items.len());
        for (n, item) in items.into_iter().enumerate() {
            match item {
                Value::String(text) if text.chars().count() <= MAX_TEXT => texts.push(text),
                Value::String(_) => {
                    let max = MAX_TEXT;
                    self.wrong(&format!("{name}[{n}]"), Reason::TooLong { max });
                }
                _ => {
                    let expected = "string";
                    self.wrong(&format!("{name}[{n}]"), Reason::Type { expected });
                }
            }
        }
        Some(texts)
    }

    /// A list of whole numbers that may be missing.
    pub(crate) fn integers(&mut self, name: &str) -> Option<Vec<i64>> {
        let items = self.list(name)?;
        let mut numbers = Vec::with_capacity(items.len());
        for (n, item) in items.iter().enumerate() {
            match item.as_i64() {
                Some(number) => numbers.push(number),
                None => {
                    let expected = "integer";
                    self.wrong(&format!("{name}[{n}]"), Reason::Type { expected });
                }
            }
        }
        Some(numbers)
    }

    /// An object that may be missing.
    pub(crate) fn object(&mut self, name: &str) -> Option<Map<String, Value>> {
        match self.take(name)? {
            Value::Object(map) => Some(map),
            _ => {
                self.wrong(name, Reason::Type { expected: "object" });
                None
            }
        }
    }

    /// A moment in RFC 3339 form that may be missing.
    pub(crate) fn moment(&mut self, name: &str) -> Option<Timestamp> {
        let text = self.text(name)?;
        let moment = time::parse(&text);
        if moment.is_none() {
            self.wrong(name, Reason::Moment);
        }
        moment
    }

    /// One of some words, which may be missing.
    pub(crate) fn one_of<T: Copy>(
        &mut self,
        name: &str,
        values: &[T],
        word: impl Fn(T) -> &'static str,
    ) -> Option<T> {
        let text = self.text(name)?;
        let found = values.iter().copied().find(|value| word(*value) == text);
        if found.is_none() {
            let allowed = values.iter().map(|value| word(*value).to_owned()).collect();
            self.wrong(name, Reason::OneOf { allowed });
        }
        found
    }

    /// A list that may be missing.
    pub(crate) fn list(&mut self, name: &str) -> Option<Vec<Value>> {
        match self.take(name)? {
            Value::Array(items) => Some(items),
            _ => {
                self.wrong(name, Reason::Type { expected: "list" });
                None
            }
        }
    }

    /// A flag that may be missing.
    pub(crate) fn boolean(&mut self, name: &str) -> Option<bool> {
        match self.take(name)? {
            Value::Bool(flag) => Some(flag),
            _ => {
                let expected = "boolean";
                self.wrong(name, Reason::Type { expected });
                None
            }
        }
    }

    /// A list that must be there.
    pub(crate) fn required_list(&mut self, name: &str) -> Option<Vec<Value>> {
        match self.take(name) {
            Some(Value::Array(items)) => Some(items),
            Some(_) => {
                self.wrong(name, Reason::Type { expected: "list" });
                None
            }
            None => {
                self.wrong(name, Reason::Required);
                None
            }
        }
    }

    /// Whatever was not taken is unknown.
    pub(crate) fn finish(self) {
        let Self { map, at, errors } = self;
        for name in map.keys() {
            let shown: String = name.chars().take(64).collect();
            errors.add(format!("{at}{shown}"), Reason::UnknownField);
        }
    }
}
