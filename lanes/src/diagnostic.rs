//! What is wrong with the files, for people and for machines.
//!
//! Owns the form of a diagnostic and its rendering; the codes are in [`crate::codes`], and who
//! finds a problem decides its words.

use annotate_snippets::{AnnotationKind, Group, Level as Title, Renderer, Snippet};

use crate::{
    codes::Code,
    source::{Position, Sources, Span, floor},
};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Nothing is planned from files with an error.
    Error,
    /// Worth knowing; nothing stops.
    Warning,
}

/// A second place that explains the first.
#[derive(Debug, Clone)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// What is there.
    pub text: String,
}

/// One problem: where, what, and what to do.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    /// The kind of problem.
    pub code: &'static Code,
    /// How bad it is.
    pub level: Level,
    /// What is wrong, names in backticks, no full stop.
    pub message: String,
    /// The place to look at; nothing when the problem is that a file is missing.
    pub span: Option<Span>,
    /// What is at that place, shown beside the underline; often empty.
    pub label: String,
    /// Other places that matter.
    pub labels: Vec<Label>,
    /// What to do about it, one sentence each.
    pub help: Vec<String>,
}

impl Diagnostic {
    /// Returns an error at `span`.
    #[must_use]
    pub fn error(code: &'static Code, span: Span, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            code,
            level: Level::Error,
            message,
            span: Some(span),
            label: String::new(),
            labels: Vec::new(),
            help: Vec::new(),
        }
    }

    /// Returns an error that has no place in a file.
    #[must_use]
    pub fn without_place(code: &'static Code, message: impl Into<String>) -> Self {
        Self {
            code,
            level: Level::Error,
            message: message.into(),
            span: None,
            label: String::new(),
            labels: Vec::new(),
            help: Vec::new(),
        }
    }

    /// Changes the level.
    #[must_use]
    pub fn level(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    /// Says what is at the place itself.
    #[must_use]
    pub fn here(mut self, text: impl Into<String>) -> Self {
        self.label = text.into();
        self
    }

    /// Points at another place.
    #[must_use]
    pub fn also(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span, text: text.into() });
        self
    }

    /// Says what the code's remedy is.
    #[must_use]
    pub fn remedy(self) -> Self {
        let mut remedy = self.code.remedy.trim_end_matches('.').to_owned();
        if let Some(first) = remedy.get_mut(..1) {
            first.make_ascii_lowercase();
        }
        self.help(remedy)
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help.push(text.into());
        self
    }
}

/// Problems and the files they are in, sorted by file and offset.
#[derive(Debug, Clone)]
pub struct Diagnostics {
    sources: Sources,
    list: Vec<Diagnostic>,
}

/// How to render for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Write ANSI colours.
    pub colour: bool,
    /// Columns to fit into.
    pub width: usize,
}

impl Style {
    /// No colour, 100 columns: logs, files, tests.
    pub const PLAIN: Self = Self { colour: false, width: 100 };
}

impl Diagnostics {
    /// Sorts `list`; the same problem at the same place is told once.
    #[must_use]
    pub fn new(sources: Sources, mut list: Vec<Diagnostic>) -> Self {
        let key = |diagnostic: &Diagnostic| (diagnostic.span, diagnostic.code.name);
        list.sort_by(|a, b| key(a).cmp(&key(b)).then_with(|| a.message.cmp(&b.message)));
        list.dedup_by(|b, a| key(a) == key(b) && a.message == b.message);
        Self { sources, list }
    }

    /// Returns whether there is nothing to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Returns how many problems there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Returns whether any of them is an error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|diagnostic| diagnostic.level == Level::Error)
    }

    /// Returns the problems, by file and offset.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Diagnostic> {
        self.list.iter()
    }

    /// Returns the files the spans point into.
    #[must_use]
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// Returns where a problem is, for machines: JSON, annotations of a forge, SARIF.
    #[must_use]
    pub fn position(&self, diagnostic: &Diagnostic) -> Option<Position> {
        diagnostic.span.map(|span| self.sources.position(span))
    }

    /// Renders every problem for people, each followed by an empty line, and a closing count when
    /// there is more than one.
    #[must_use]
    pub fn render(&self, style: Style) -> String {
        let mut out = String::new();
        for diagnostic in &self.list {
            out.push_str(&render_one(&self.sources, diagnostic, style));
            out.push_str("\n\n");
        }
        let errors = self.list.iter().filter(|found| found.level == Level::Error).count();
        let count = |number: usize, what: &str| {
            format!("{number} {what}{}", if number == 1 { "" } else { "s" })
        };
        let total = match (errors, self.list.len() - errors) {
            (0 | 1, 0) | (0, 1) => return out,
            (errors, 0) => count(errors, "error"),
            (0, warnings) => count(warnings, "warning"),
            (errors, warnings) => {
                format!("{}, {}", count(errors, "error"), count(warnings, "warning"))
            }
        };
        out.push_str(&total);
        out.push('\n');
        out
    }
}

impl std::fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.render(Style::PLAIN).trim_end())
    }
}

impl std::error::Error for Diagnostics {}

/// Renders one diagnostic whose spans point into `sources`.
#[must_use]
pub fn render_one(sources: &Sources, diagnostic: &Diagnostic, style: Style) -> String {
    let level = match diagnostic.level {
        Level::Error => Title::ERROR,
        Level::Warning => Title::WARNING,
    };
    let title = level.primary_title(diagnostic.message.as_str()).id(diagnostic.code.name);
    let mut group = Group::with_title(title);
    for window in windows(sources, diagnostic) {
        let mut snippet = Snippet::source(window.text)
            .path(sources.name(window.span.source))
            .line_start(window.first_line);
        for (kind, span, text) in window.annotations {
            let shift = |at: u32| (at - window.span.start) as usize;
            let label = (!text.is_empty()).then_some(text);
            snippet =
                snippet.annotation(kind.span(shift(span.start)..shift(span.end)).label(label));
        }
        group = group.element(snippet);
    }
    for help in &diagnostic.help {
        group = group.element(Title::HELP.message(help.as_str()));
    }
    let renderer = if style.colour { Renderer::styled() } else { Renderer::plain() };
    renderer.term_width(style.width).render(&[group])
}

/// The lines of one file around the places of a diagnostic.
struct Window<'a> {
    span: Span,
    first_line: usize,
    text: &'a str,
    annotations: Vec<(AnnotationKind, Span, &'a str)>,
}

/// Places of one file further apart than this many bytes are shown as two excerpts, so that a
/// large file costs no more to point into than a small one.
const FAR: u32 = 4096;

fn windows<'a>(sources: &'a Sources, diagnostic: &'a Diagnostic) -> Vec<Window<'a>> {
    let primary =
        diagnostic.span.map(|span| (AnnotationKind::Primary, span, diagnostic.label.as_str()));
    let others = diagnostic
        .labels
        .iter()
        .map(|label| (AnnotationKind::Context, label.span, label.text.as_str()));
    let mut windows: Vec<Window<'_>> = Vec::new();
    for (kind, span, text) in primary.into_iter().chain(others) {
        let span = clamp(sources, span);
        let near = windows.iter_mut().find(|window| {
            window.span.source == span.source
                && span.start < window.span.end.saturating_add(FAR)
                && span.end.saturating_add(FAR) > window.span.start
        });
        match near {
            Some(window) => {
                window.span.start = window.span.start.min(span.start);
                window.span.end = window.span.end.max(span.end);
                window.annotations.push((kind, span, text));
            }
            None => windows.push(Window {
                span,
                first_line: 1,
                text: "",
                annotations: vec![(kind, span, text)],
            }),
        }
    }
    for window in &mut windows {
        let text = sources.text(window.span.source);
        let (first_line, start) = sources.line(window.span.source, window.span.start as usize);
        let end = text[window.span.end as usize..]
            .find('\n')
            .map_or(text.len(), |at| window.span.end as usize + at + 1);
        window.first_line = first_line;
        window.span = Span::new(window.span.source, start..end);
        window.text = &text[start..end];
    }
    windows
}

/// Fits a span into its text, on character boundaries, and keeps it on few lines: the span of a
/// whole table would underline the whole table.
fn clamp(sources: &Sources, span: Span) -> Span {
    let text = sources.text(span.source);
    let start = floor(text, span.start as usize);
    let end = floor(text, span.end as usize).max(start);
    let end = match text[start..end].find('\n') {
        Some(0) | None => end,
        Some(newline) => start + newline,
    };
    Span::new(span.source, start..end)
}
