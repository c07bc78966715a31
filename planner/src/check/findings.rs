//! What was found, how bad it is, and where: the value that every output is made from.
//!
//! Positions are found by line tables made once, so that twenty thousand findings in one large
//! file cost what one costs. Knows no rule.

use std::collections::BTreeMap;

use lanes::{Diagnostic, LintLevel, SourceId, Sources, Span, codes::Code};
use plans::RepoPath;

/// Which text a finding points into.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Manifest, catalog, or a file that they include.
    Definitions,
    /// The invariants.
    Invariants,
    /// A file of the tree, as a whole.
    File(RepoPath),
}

/// Something that a rule found, before its level is known.
#[derive(Debug, Clone)]
pub struct Found {
    /// Which text its spans point into.
    pub place: Place,
    /// Code, words, spans and help.
    pub diagnostic: Diagnostic,
}

impl Found {
    /// Something about manifest or catalog.
    #[must_use]
    pub fn at(code: &'static Code, span: Span, message: impl Into<String>) -> Self {
        let diagnostic = Diagnostic::error(code, span, message);
        Self { place: Place::Definitions, diagnostic }
    }

    /// Something about the invariants.
    #[must_use]
    pub fn in_invariants(code: &'static Code, span: Span, message: impl Into<String>) -> Self {
        Self { place: Place::Invariants, ..Self::at(code, span, message) }
    }

    /// Something about a file of the tree.
    #[must_use]
    pub fn of_file(code: &'static Code, path: RepoPath, message: impl Into<String>) -> Self {
        let diagnostic = Diagnostic::without_place(code, message);
        Self { place: Place::File(path), diagnostic }
    }

    /// Something about the files as a whole.
    #[must_use]
    pub fn without_place(code: &'static Code, message: impl Into<String>) -> Self {
        let diagnostic = Diagnostic::without_place(code, message);
        Self { place: Place::Definitions, diagnostic }
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.diagnostic = self.diagnostic.help(text);
        self
    }

    /// Points at another place of the same files.
    #[must_use]
    pub fn also(mut self, span: Span, text: impl Into<String>) -> Self {
        self.diagnostic = self.diagnostic.also(span, text);
        self
    }
}

/// One finding.
#[derive(Debug, Clone)]
pub struct Finding {
    /// How bad it is; never `Allow`.
    pub level: LintLevel,
    /// Which text its spans point into.
    pub place: Place,
    /// Code, words, spans and help.
    pub diagnostic: Diagnostic,
}

/// Where a finding is, for machines: lines and columns from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At {
    /// The file, from the repository's root; nothing for a finding about no file in particular.
    pub file: Option<RepoPath>,
    /// The lines and columns; nothing for a file as a whole.
    pub lines: Option<Lines>,
}

/// A range of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lines {
    /// Line of the first character.
    pub line: usize,
    /// Column of the first character.
    pub column: usize,
    /// Line of the character after the last one.
    pub end_line: usize,
    /// Column of the character after the last one.
    pub end_column: usize,
}

/// Every finding, sorted by file, place and code.
#[derive(Debug, Default)]
pub struct Findings {
    definitions: Sources,
    invariants: Sources,
    list: Vec<Finding>,
    /// Whether the files could be read whole, so that every rule had its say.
    complete: bool,
}

impl Findings {
    /// Sorts findings; the same words at the same place are told once.
    #[must_use]
    pub fn new(
        definitions: Sources,
        invariants: Sources,
        mut list: Vec<Finding>,
        complete: bool,
    ) -> Self {
        let key = |finding: &Finding| {
            (finding.place.clone(), finding.diagnostic.span, finding.diagnostic.code.name)
        };
        list.sort_by_cached_key(|finding| (key(finding), finding.diagnostic.message.clone()));
        list.dedup_by(|b, a| key(a) == key(b) && a.diagnostic.message == b.diagnostic.message);
        Self { definitions, invariants, list, complete }
    }

    /// Returns the findings.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Finding> {
        self.list.iter()
    }

    /// Returns whether every rule had its say; an error in the files silences them.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Returns how many findings have a level.
    #[must_use]
    pub fn count(&self, level: LintLevel) -> usize {
        self.list.iter().filter(|finding| finding.level == level).count()
    }

    /// Returns the texts that the spans of a finding point into.
    #[must_use]
    pub fn sources(&self, place: &Place) -> &Sources {
        match place {
            Place::Definitions | Place::File(_) => &self.definitions,
            Place::Invariants => &self.invariants,
        }
    }

    /// Returns what answers where findings are.
    #[must_use]
    pub fn positions(&self) -> Positions<'_> {
        Positions { findings: self, tables: BTreeMap::new() }
    }
}

/// Answers where findings are, counting the lines of each file once.
pub struct Positions<'a> {
    findings: &'a Findings,
    tables: BTreeMap<(bool, SourceId), LineTable<'a>>,
}

impl Positions<'_> {
    /// Returns where a finding is.
    pub fn of(&mut self, finding: &Finding) -> At {
        match (&finding.place, finding.diagnostic.span) {
            (Place::File(path), _) => At { file: Some(path.clone()), lines: None },
            (_, None) => At { file: None, lines: None },
            (place, Some(span)) => self.span(place, span),
        }
    }

    /// Returns where a span of a finding is.
    pub fn span(&mut self, place: &Place, span: Span) -> At {
        let sources = self.findings.sources(place);
        let table = self
            .tables
            .entry((*place == Place::Invariants, span.source))
            .or_insert_with(|| LineTable::of(sources.text(span.source)));
        let (line, column) = table.position(span.start as usize);
        let (end_line, end_column) = table.position(span.end.max(span.start) as usize);
        let lines = Some(Lines { line, column, end_line, end_column });
        At { file: RepoPath::new(sources.name(span.source).as_bytes()).ok(), lines }
    }
}

/// Where each line of a text starts.
struct LineTable<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> LineTable<'a> {
    fn of(text: &'a str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1));
        Self { text, starts: starts.collect() }
    }

    fn position(&self, offset: usize) -> (usize, usize) {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let line = self.starts.partition_point(|start| *start <= offset);
        let column = self.text[self.starts[line - 1]..offset].chars().count() + 1;
        (line, column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_those_that_diagnostics_show() {
        let text = "x\né = \"y\"\n\n";
        let mut sources = Sources::default();
        let id = sources.add("a.toml", text);
        let table = LineTable::of(text);
        for start in 0..=text.len() + 2 {
            let position = sources.position(Span::new(id, start..start));
            assert_eq!(table.position(start), (position.line, position.column), "{start}");
        }
    }
}
