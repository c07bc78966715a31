//! Outputs: what a job wrote to `$FORGE_LANES_OUTPUT`, read by GitHub's rules, checked, and never told with a secret
//! in it.
//!
//! The file is in the job's own artifacts directory, which every placement and runtime brings back, and is none of
//! its artifacts. A line is `name=value`; `name<<MARK` begins a value of several lines, which ends before the line
//! that is `MARK`. Of a name that is written twice the last value holds.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use plans::OutputName;
use serde::{Deserialize, Serialize};

use super::Tree;
use crate::{
    fault::{FailureKind, Fault},
    redact::{MaskState, Masks, Redactor},
};

/// The variable that names the file, for jobs with `outputs`.
pub(crate) const VARIABLE: &str = "FORGE_LANES_OUTPUT";
/// The file's name in the job's own artifacts directory.
pub(crate) const FILE: &str = ".forge-lanes-output";
/// More bytes than this are refused.
const MOST: usize = 64 << 10;

/// What a job left.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outputs {
    /// The values of declared names.
    pub values: BTreeMap<String, String>,
    /// What is wrong, a line each, the first to be told first; no value is in it.
    pub problems: Vec<String>,
}

/// Reads what a job wrote, by the names that its plan declares.
///
/// # Errors
///
/// When the file cannot be fetched, or when no masks can be made of the secrets.
pub(super) fn read(
    own: &dyn Tree,
    declared: &BTreeSet<OutputName>,
    secrets: &[&str],
) -> Result<Outputs, Fault> {
    if declared.is_empty() {
        return Ok(Outputs::default());
    }
    let bytes = own.read(Path::new(FILE), MOST + 1)?;
    let masks = Masks::new(secrets.iter().copied())
        .map_err(|error| Fault::new(FailureKind::Collect, error.to_string()))?;
    let secrets = Secrets { values: secrets, masks: Arc::new(masks) };
    Ok(parse(bytes.as_deref(), declared, &secrets))
}

/// Returns whether a text may be told.
struct Secrets<'a> {
    values: &'a [&'a str],
    masks: Arc<Masks>,
}

impl Secrets<'_> {
    /// Returns whether a secret is in it in any form that logs are kept free of, or it is one.
    fn are_in(&self, text: &[u8]) -> bool {
        let mut redactor = Redactor::new(Arc::clone(&self.masks), MaskState::default());
        let mut out = Vec::new();
        let mut shown = redactor.push(text, &mut out).to_vec();
        shown.extend_from_slice(redactor.finish(&mut out));
        shown != text
            || self.values.iter().any(|value| value.as_bytes() == text && !text.is_empty())
    }
}

fn parse(bytes: Option<&[u8]>, declared: &BTreeSet<OutputName>, secrets: &Secrets<'_>) -> Outputs {
    let mut outputs = Outputs::default();
    let bytes = bytes.unwrap_or_default();
    if bytes.len() > MOST {
        outputs.problems.push(format!("it wrote more than 64 KiB to ${VARIABLE}"));
        return outputs;
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        outputs.problems.push(format!("what it wrote to ${VARIABLE} is not UTF-8"));
        return outputs;
    };
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let number = number + 1;
        if line.is_empty() {
            continue;
        }
        let mut wrong = |what: &str| {
            outputs.problems.push(format!("line {number} of ${VARIABLE} {what}"));
        };
        let (equals, here) = (line.find('='), line.find("<<"));
        let (name, value) = match (equals, here) {
            (equals, Some(here)) if equals.is_none_or(|equals| here < equals) => {
                let (name, mark) = (&line[..here], &line[here + 2..]);
                if mark.is_empty() {
                    wrong("has nothing after `<<`: the line that ends the value is named there");
                    break;
                }
                let mut value = Vec::new();
                let ended = loop {
                    match lines.next() {
                        None => break false,
                        Some((_, line)) if line == mark => break true,
                        Some((_, line)) => value.push(line),
                    }
                };
                if !ended {
                    wrong("begins a value of several lines that never ends");
                    break;
                }
                (name, value.join("\n"))
            }
            (Some(equals), _) => (&line[..equals], line[equals + 1..].to_owned()),
            (None, _) => {
                wrong("is neither `name=value` nor `name<<MARK`");
                continue;
            }
        };
        let Ok(name) = OutputName::new(name) else {
            wrong("has no name of an output before its `=` or `<<`");
            continue;
        };
        if !declared.contains(&name) {
            // The name may be a secret itself.
            if secrets.are_in(name.as_str().as_bytes()) {
                wrong("sets what is not among its `outputs`");
            } else {
                wrong(&format!("sets `{name}`, which is not among its `outputs`"));
            }
        } else if value.contains('\0') {
            wrong(&format!("sets `{name}` to something with a NUL byte, which no variable holds"));
        } else if secrets.are_in(value.as_bytes()) {
            outputs.problems.push(format!("its output `{name}` holds a secret"));
            outputs.values.remove(name.as_str());
        } else {
            outputs.values.insert(name.as_str().to_owned(), value);
        }
    }
    if outputs.problems.is_empty() && secrets.are_in(bytes) {
        // Over the bounds of what is one value.
        outputs.problems.push(format!("what it wrote to ${VARIABLE} holds a secret"));
        outputs.values.clear();
    }
    if outputs.problems.is_empty()
        && let Some(name) = declared.iter().find(|it| !outputs.values.contains_key(it.as_str()))
    {
        let problem =
            format!("it left no output `{name}`: `{name}=VALUE` belongs into ${VARIABLE}");
        outputs.problems.push(problem);
    }
    outputs
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "hunter2-hunter2";

    fn check(text: &[u8], declared: &[&str]) -> Outputs {
        let declared =
            declared.iter().map(|&name| OutputName::new(name).expect("well formed")).collect();
        let values = &[SECRET, "abc"];
        let masks = Arc::new(Masks::new(values.iter().copied()).expect("masks"));
        parse(Some(text), &declared, &Secrets { values, masks })
    }

    fn values(text: &str, declared: &[&str]) -> Vec<(String, String)> {
        let outputs = check(text.as_bytes(), declared);
        assert_eq!(outputs.problems, [""; 0], "{text}");
        outputs.values.into_iter().collect()
    }

    fn problem(text: &[u8]) -> String {
        let outputs = check(text, &["version", "notes"]);
        assert!(!outputs.problems.is_empty(), "{}", String::from_utf8_lossy(text));
        let told = outputs.problems.join("; ");
        assert!(!told.contains(SECRET) && !told.contains("hunter2"), "{told}");
        for value in outputs.values.values() {
            assert!(!value.contains("hunter2"), "{value}");
        }
        told
    }

    #[test]
    fn lines_and_values_of_several_lines_are_read_as_github_reads_them() {
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(values("version=1.2=3\n", &["version"]), [pair("version", "1.2=3")]);
        assert_eq!(values("version=\r\n\nversion=2", &["version"]), [pair("version", "2")]);
        assert_eq!(values("version=", &["version"]), [pair("version", "")]);
        assert_eq!(
            values("notes<<EOF\na=b\n\nEOF2\nEOF\nversion=1<<2\n", &["version", "notes"]),
            [pair("notes", "a=b\n\nEOF2"), pair("version", "1<<2")]
        );
        assert_eq!(values("version<<-\n-\n", &["version"]), [pair("version", "")]);
    }

    #[test]
    fn each_thing_that_is_wrong_has_words_of_its_own() {
        let long = [b"version=".to_vec(), vec![b'x'; MOST]].concat();
        assert_eq!(problem(&long), "it wrote more than 64 KiB to $FORGE_LANES_OUTPUT");
        assert!(problem(b"version=\xff\n").contains("is not UTF-8"));
        assert!(
            problem(b"version=1\nnotes=2\nother=3")
                .contains("line 3 of $FORGE_LANES_OUTPUT sets `other`")
        );
        assert!(
            problem(b"version=1\nno value\n").contains("line 2 of $FORGE_LANES_OUTPUT is neither")
        );
        assert!(problem(b"=1\n").contains("has no name of an output"));
        assert!(problem(b"a b=1\n").contains("has no name of an output"));
        assert!(problem(b"notes<<EOF\na\n").contains("never ends"));
        assert!(problem(b"notes<<\na\n").contains("has nothing after `<<`"));
        assert!(problem(b"version=1\n").contains("it left no output `notes`"));
        assert!(problem(b"").contains("it left no output `notes`"));
        assert!(problem(b"version=a\0b\n").contains("NUL"));
    }

    #[test]
    fn a_secret_is_refused_by_the_name_of_its_output_in_every_form() {
        // In base64 and hexadecimal, percent-encoded, over two lines, and as the name of an output.
        for text in [
            "version=v-hunter2-hunter2\n",
            "version=aHVudGVyMi1odW50ZXIy\n",
            "version=68756e746572322d68756e74657232\n",
            "version=abc\n",
            "version<<E\nx\nhunter2-hunter2\nE\n",
        ] {
            assert_eq!(problem(text.as_bytes()), "its output `version` holds a secret", "{text}");
        }
        assert!(problem(b"hunter2-hunter2=1\nversion=1").contains("sets what is not among its"));
        assert!(problem(b"no value hunter2-hunter2\n").contains("is neither"));
        let exact = [b"version=".to_vec(), vec![b'x'; MOST - 8]].concat();
        assert!(check(&exact, &["version"]).problems.is_empty());
    }
}
