//! Both programs from outside, as people meet them: the documentation's commands, pages in a real
//! browser, exported pipelines, manual pages and completions.
//!
//! They are found beside the tests, so `cargo build --workspace --bins` comes first.

mod book;
mod browser;
mod drafts;
mod engines_run;
mod exported;
mod help;
mod hooks;
mod imported;
mod inputs;
mod map;
mod named;
mod oracle;
mod page;
mod pages;
mod passed;
mod reference;
mod release;
mod reuse;
mod served;
mod shards;
mod shell;
