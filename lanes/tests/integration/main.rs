//! The crate from outside: files in, catalog or diagnostics out.

mod diagnostics;
mod pika;
mod support;
