//! Command lines in the manner of Swift's argument parser: `--name value`, `--name=value`,
//! flags, and positional arguments in any order among them.

use std::collections::BTreeMap;

use crate::failure::Failure;

/// What a command takes.
pub(crate) struct Grammar {
    pub(crate) command: &'static str,
    pub(crate) flags: &'static [&'static str],
    pub(crate) options: &'static [&'static str],
    pub(crate) positionals: std::ops::RangeInclusive<usize>,
}

#[derive(Debug, Default)]
pub(crate) struct Parsed {
    options: BTreeMap<String, Vec<String>>,
    pub(crate) positionals: Vec<String>,
}

impl Grammar {
    pub(crate) fn parse(&self, arguments: &[String]) -> Result<Parsed, Failure> {
        let mut parsed = Parsed::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            if !argument.starts_with('-') {
                parsed.positionals.push(argument.clone());
                continue;
            }
            let (name, inline) = match argument.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (argument.as_str(), None),
            };
            if self.flags.contains(&name) && inline.is_none() {
                parsed.options.entry(name.to_owned()).or_default();
            } else if self.options.contains(&name) {
                let value = inline.or_else(|| rest.next().cloned()).ok_or_else(|| {
                    Failure::usage(self.command, format!("Missing value for '{name} <value>'"))
                })?;
                parsed.options.entry(name.to_owned()).or_default().push(value);
            } else {
                return Err(Failure::usage(self.command, format!("Unknown option '{argument}'")));
            }
        }
        if parsed.positionals.len() < *self.positionals.start() {
            return Err(Failure::usage(self.command, "Missing expected argument '<name>'"));
        }
        if parsed.positionals.len() > *self.positionals.end() {
            let extra = &parsed.positionals[*self.positionals.end()];
            return Err(Failure::usage(self.command, format!("Unexpected argument '{extra}'")));
        }
        Ok(parsed)
    }

    /// The value of an option as a number, if it was given.
    pub(crate) fn number(&self, parsed: &Parsed, name: &str) -> Result<Option<u64>, Failure> {
        parsed
            .value(name)
            .map(|value| {
                value.parse().map_err(|_| {
                    Failure::usage(
                        self.command,
                        format!("The value '{value}' is invalid for '{name} <value>'"),
                    )
                })
            })
            .transpose()
    }
}

impl Parsed {
    pub(crate) fn has(&self, flag: &str) -> bool {
        self.options.contains_key(flag)
    }

    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.options.get(name)?.last().map(String::as_str)
    }

    pub(crate) fn values(&self, name: &str) -> &[String] {
        self.options.get(name).map_or(&[], Vec::as_slice)
    }
}
