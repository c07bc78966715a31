//! The fault switches of `$TART_HOME/faults`; the table of them heads `main.rs`.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use crate::storage;

fn path() -> PathBuf {
    storage::home().join("faults")
}

fn lines(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter_map(|line| {
        let line = line.split('#').next().unwrap_or_default().trim();
        (!line.is_empty()).then(|| line.split_once('=').unwrap_or((line, "")))
    })
}

/// The value of a fault, empty if it was switched on without one.
pub(crate) fn value(name: &str) -> Option<String> {
    let text = std::fs::read_to_string(path()).ok()?;
    lines(&text).find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
}

pub(crate) fn on(name: &str) -> bool {
    value(name).is_some()
}

pub(crate) fn number(name: &str, otherwise: u64) -> u64 {
    value(name).and_then(|value| value.parse().ok()).unwrap_or(otherwise)
}

pub(crate) fn milliseconds(name: &str, otherwise: u64) -> Duration {
    Duration::from_millis(number(name, otherwise))
}

/// Takes one off a counted fault; true if there was one to take.
pub(crate) fn take(name: &str) -> bool {
    try_take(name).unwrap_or(false)
}

fn try_take(name: &str) -> std::io::Result<bool> {
    let mut file: File = OpenOptions::new().read(true).write(true).open(path())?;
    file.lock()?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    let mut taken = false;
    let mut left = String::new();
    for (key, value) in lines(&text) {
        let count: u64 = value.parse().unwrap_or(0);
        if key == name && count > 0 && !taken {
            taken = true;
            left.push_str(&[key, "=", &(count - 1).to_string(), "\n"].concat());
        } else {
            left.push_str(&[key, "=", value, "\n"].concat());
        }
    }
    if taken {
        file.rewind()?;
        file.set_len(0)?;
        file.write_all(left.as_bytes())?;
    }
    Ok(taken)
}
