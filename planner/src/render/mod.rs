//! What people look at: one plan, in seven forms.
//!
//! | form | for |
//! | --- | --- |
//! | [`human()`] | a terminal: lanes with reasons, nodes by machine and isolation |
//! | [`short()`] | golden files: the same facts, terse and stable, checked by eye |
//! | [`markdown()`] | a pull request comment |
//! | [`mermaid()`], [`dot()`] | other people's drawing programs |
//! | [`html()`] | one self-contained page with the graph drawn |
//!
//! Every form is a function of the plan and [`Options`]: nothing is read, nothing printed. All text
//! in a plan is foreign (a path, a title, a description may hold anything), and each form escapes
//! it by the rules of its own syntax. Measured times come in through [`Options::durations`]; they
//! are shown beside the plan and are never part of it.

mod dot;
pub mod durations;
mod graph;
pub(crate) mod html;
mod human;
mod markdown;
mod mermaid;
mod short;
pub(crate) mod text;
pub mod words;

#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;

pub use dot::dot;
pub use durations::{Durations, Estimate};
pub use html::html;
pub use human::human;
pub(crate) use markdown::code;
pub use markdown::markdown;
pub use mermaid::mermaid;
pub use short::short;

/// How a plan is shown. The plan decides what is shown.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many columns the terminal has; only [`human()`] looks at it.
    pub width: usize,
    /// Whether [`human()`] may use colour; the caller knows about terminals and `NO_COLOR`.
    pub color: bool,
    /// The digest of the document that was read or written; absent: not shown.
    pub digest: Option<String>,
    /// What earlier runs took; absent: no times but timeouts are shown.
    pub durations: Option<Durations>,
}

impl Default for Options {
    /// Eighty columns, no colour, no digest, no measured times.
    fn default() -> Self {
        Self { width: 80, color: false, digest: None, durations: None }
    }
}
