//! The crate from outside: files in, catalog or diagnostics out.

mod pika;
mod support;
