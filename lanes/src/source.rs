//! The files that were read, and places in them.
//!
//! Knows texts, offsets, lines and columns; has no opinion on what the text means.

use std::{borrow::Cow, ops::Range, sync::OnceLock};

/// Which of the [`Sources`] a place is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(u32);

/// A range of bytes in one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The file.
    pub source: SourceId,
    /// The first byte.
    pub start: u32,
    /// The byte after the last one.
    pub end: u32,
}

impl Span {
    /// Returns the span of `range` in `source`. Offsets beyond 4 GiB saturate; no such file is
    /// read.
    #[must_use]
    pub fn new(source: SourceId, range: Range<usize>) -> Self {
        let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Self { source, start: offset(range.start), end: offset(range.end) }
    }

    /// Returns the bytes as a range.
    #[must_use]
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// A value and where it was written. In schemas and comparisons it is the value alone.
#[derive(Debug, Clone, Copy)]
pub struct At<T> {
    /// What was written.
    pub value: T,
    /// Where.
    pub span: Span,
}

impl<T> std::ops::Deref for At<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: schemars::JsonSchema> schemars::JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        T::json_schema(generator)
    }
}

/// One file as it was read.
#[derive(Debug, Clone)]
struct Source {
    name: String,
    text: String,
    /// The offset of each line, once a position is asked for.
    lines: OnceLock<Vec<usize>>,
}

impl Source {
    /// Returns the line of an offset, counted from 0, and where that line starts.
    fn line(&self, offset: usize) -> (usize, usize) {
        let lines = self.lines.get_or_init(|| {
            let behind = self.text.match_indices('\n').map(|(newline, _)| newline + 1);
            std::iter::once(0).chain(behind).collect()
        });
        let line = lines.partition_point(|start| *start <= offset) - 1;
        (line, lines[line])
    }
}

/// Every file of one load, in the order they were read.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    files: Vec<Source>,
}

/// A span as editors and forges count it: lines and columns from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The file's display name.
    pub file: String,
    /// Line of the first character.
    pub line: usize,
    /// Column of the first character.
    pub column: usize,
    /// Line of the character after the last one.
    pub end_line: usize,
    /// Column of the character after the last one.
    pub end_column: usize,
}

impl Sources {
    /// Adds a file under its display name.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> SourceId {
        let id = SourceId(u32::try_from(self.files.len()).unwrap_or(u32::MAX));
        self.files.push(Source { name: name.into(), text: text.into(), lines: OnceLock::new() });
        id
    }

    /// Returns the display name of a file.
    #[must_use]
    pub fn name(&self, id: SourceId) -> &str {
        &self.files[id.0 as usize].name
    }

    /// Returns the text of a file.
    #[must_use]
    pub fn text(&self, id: SourceId) -> &str {
        &self.files[id.0 as usize].text
    }

    /// Returns the display names, in reading order.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.files.iter().map(|file| file.name.as_str())
    }

    /// Returns the text of a span.
    #[must_use]
    pub fn snippet(&self, span: Span) -> &str {
        self.text(span.source).get(span.range()).unwrap_or_default()
    }

    /// Returns a span in lines and columns.
    #[must_use]
    pub fn position(&self, span: Span) -> Position {
        let (line, column) = self.line_column(span.source, span.start as usize);
        let end = (span.end as usize).max(span.start as usize);
        let (end_line, end_column) = self.line_column(span.source, end);
        Position { file: self.name(span.source).to_owned(), line, column, end_line, end_column }
    }

    /// Returns line and column of an offset, both from 1. An offset inside a character counts as
    /// its start, one behind the text as its end.
    fn line_column(&self, id: SourceId, offset: usize) -> (usize, usize) {
        let source = &self.files[id.0 as usize];
        let offset = floor(&source.text, offset);
        let (line, start) = source.line(offset);
        (line + 1, source.text[start..offset].chars().count() + 1)
    }

    /// Returns the line of an offset, counted from 1, and where that line starts.
    pub(crate) fn line(&self, id: SourceId, offset: usize) -> (usize, usize) {
        let (line, start) = self.files[id.0 as usize].line(offset);
        (line + 1, start)
    }
}

/// Returns the start of the character that `offset` is in.
pub(crate) fn floor(text: &str, offset: usize) -> usize {
    let mut at = offset.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters() {
        let mut sources = Sources::default();
        let id = sources.add("a.toml", "x\né = \"y\"\n");
        let position = sources.position(Span::new(id, 7..10));
        assert_eq!((position.line, position.column), (2, 5));
        assert_eq!((position.end_line, position.end_column), (2, 8));
        assert_eq!(sources.snippet(Span::new(id, 7..10)), "\"y\"");
    }

    #[test]
    fn an_offset_behind_the_text_is_its_end() {
        let mut sources = Sources::default();
        let plain = sources.add("a", "ab\n");
        assert_eq!(sources.line_column(plain, 99), (2, 1));
        let wide = sources.add("b", "é");
        assert_eq!(sources.line_column(wide, 1), (1, 1));
    }
}
