//! Test-only: everything lives in `tests/`.
