//! How long the files of a job's work take: the document that `executor history --durations` writes, that is
//! committed, and by which the planner divides files into shards.
//!
//! One JSON object, a path of the tree and its seconds in each entry, as Knapsack keeps it: `{ "tests/a.rs": 12.5 }`. An entry
//! for a part of a file (`tests/test_a.py::test_one`, as pytest-split keeps them) adds to its file.

use std::collections::BTreeMap;

use crate::document::NoDuplicates;

/// How long files take, by path.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FileDurations {
    seconds: BTreeMap<String, f64>,
}

/// Why a text is not such a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileDurationsError {
    /// It is not JSON, or no object of numbers.
    #[error("it is no object of paths and seconds: {0}")]
    Shape(String),
    /// A number that is no time.
    #[error("`{path}` takes {seconds}, which is no number of seconds")]
    NoTime {
        /// The entry.
        path: String,
        /// What stands there.
        seconds: String,
    },
}

impl FileDurations {
    /// Reads the document.
    ///
    /// # Errors
    ///
    /// [`FileDurationsError`] says what is wrong, and where.
    pub fn from_json(text: &[u8]) -> Result<Self, FileDurationsError> {
        let shape = |error: serde_json::Error| FileDurationsError::Shape(error.to_string());
        let NoDuplicates(value) = serde_json::from_slice(text).map_err(shape)?;
        let entries: BTreeMap<String, f64> = serde_json::from_value(value).map_err(shape)?;
        let mut durations = Self::default();
        for (path, seconds) in entries {
            if !seconds.is_finite() || seconds < 0.0 {
                return Err(FileDurationsError::NoTime { path, seconds: seconds.to_string() });
            }
            let file = path.split_once("::").map_or(&*path, |(file, _)| file);
            *durations.seconds.entry(file.to_owned()).or_default() += seconds;
        }
        Ok(durations)
    }

    /// Returns the document: sorted, an entry on each line, to the millisecond.
    #[must_use]
    pub fn to_json(&self) -> String {
        let rounded: BTreeMap<&str, f64> =
            self.seconds.iter().map(|(path, s)| (&**path, (s * 1000.0).round() / 1000.0)).collect();
        serde_json::to_string_pretty(&rounded).expect("paths and finite numbers") + "\n"
    }

    /// Says how long a file takes.
    pub fn set(&mut self, path: &str, seconds: f64) {
        self.seconds.insert(path.to_owned(), seconds.max(0.0));
    }

    /// Returns how many seconds a file takes, if that is known.
    #[must_use]
    pub fn of(&self, path: &str) -> Option<f64> {
        self.seconds.get(path).copied()
    }

    /// Leaves out files.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.seconds.retain(|path, _| keep(path));
    }

    /// Returns the files and their seconds, sorted by path.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.seconds.iter().map(|(path, seconds)| (&**path, *seconds))
    }

    /// Returns how many files it speaks of.
    #[must_use]
    pub fn len(&self) -> usize {
        self.seconds.len()
    }

    /// Returns whether it speaks of none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.seconds.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_parts_of_a_file_add_up() {
        let mut durations = FileDurations::default();
        durations.set("tests/b.rs", 2.0);
        durations.set("tests/a.rs", 0.123_456);
        let text = durations.to_json();
        assert_eq!(text, "{\n  \"tests/a.rs\": 0.123,\n  \"tests/b.rs\": 2.0\n}\n");
        let read = FileDurations::from_json(text.as_bytes()).expect("well formed");
        assert_eq!(read.iter().collect::<Vec<_>>(), [("tests/a.rs", 0.123), ("tests/b.rs", 2.0)]);
        let split = br#"{ "t/a.py::one": 1.5, "t/a.py::T::two": 2, "t/b.py": 1 }"#;
        let split = FileDurations::from_json(split).expect("well formed");
        assert_eq!(
            (split.of("t/a.py"), split.of("t/b.py"), split.of("t/c.py")),
            (Some(3.5), Some(1.0), None)
        );
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "[]",
            "{",
            r#"{"a": "1"}"#,
            r#"{"a": 1, "a": 2}"#,
            r#"{"a": 1e999}"#,
            r#"{"a": null}"#,
        ] {
            assert!(FileDurations::from_json(text.as_bytes()).is_err(), "{text}");
        }
        let error = FileDurations::from_json(br#"{"a": -1}"#).expect_err("no time");
        assert_eq!(error.to_string(), "`a` takes -1, which is no number of seconds");
    }
}
