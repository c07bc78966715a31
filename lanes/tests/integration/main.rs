//! The crate from outside: files in, catalog or diagnostics out.

mod diagnostics;
mod filters;
mod pika;
mod support;
