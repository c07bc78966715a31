//! Cuts an export into files, none larger than its engine takes.

use super::{Export, ExportError, ExportName, ExportedFile, steps::Part};

/// What one file may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Whose limits.
    pub(crate) engine: &'static str,
    /// Bytes; a part that is larger alone is refused.
    pub(crate) bytes: usize,
    /// Jobs to aim at; a part that has more alone gets a file of its own.
    pub(crate) jobs: usize,
}

/// A part of the plan that cannot be divided, as text.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) part: Part,
    pub(crate) text: String,
    /// One of its jobs or lanes, for messages.
    pub(crate) first: String,
}

/// Puts pieces into files in their order; `head` writes what stands above them, given the file's
/// number and the count of files.
pub(crate) fn pack(
    pieces: Vec<Piece>,
    limits: Limits,
    name: &ExportName,
    head: impl Fn(usize, usize) -> String,
) -> Result<Export, ExportError> {
    // The longest head there can be: its numbers are longest when every piece has a file.
    let most = pieces.len().max(1);
    let room = limits.bytes.saturating_sub(head(most, most).len());
    let mut files: Vec<(usize, String)> = Vec::new();
    for Piece { part, text, first } in pieces {
        let jobs = part.steps.len() + part.lanes.len();
        if text.len() > room {
            let (engine, limit, bytes) = (limits.engine, limits.bytes, text.len());
            return Err(ExportError::TooLarge { engine, first, jobs, bytes, limit });
        }
        match files.last_mut() {
            Some((count, body))
                if *count + jobs <= limits.jobs && body.len() + text.len() <= room =>
            {
                *count += jobs;
                body.push_str(&text);
            }
            _ => files.push((jobs, text)),
        }
    }
    if files.is_empty() {
        files.push((0, String::new()));
    }
    let count = files.len();
    let files = files
        .into_iter()
        .enumerate()
        .map(|(at, (_, body))| ExportedFile {
            name: file_name(name, at),
            text: head(at + 1, count) + &body,
        })
        .collect();
    Ok(Export { files, notes: Vec::new() })
}

/// Names the file at that position: `NAME.yml`, `NAME-2.yml`, …
pub(crate) fn file_name(name: &ExportName, at: usize) -> String {
    let name = name.as_str();
    if at == 0 { format!("{name}.yml") } else { format!("{name}-{}.yml", at + 1) }
}
