//! Random marks: what nobody else prints by accident.

use std::io::Read as _;

/// Returns 32 random hex digits.
pub(crate) fn token() -> String {
    let mut bytes = [0u8; 16];
    let read = std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    if read.is_err() {
        bytes = seeded();
    }
    crate::text::hex(&bytes)
}

/// Without a random device: the standard library's own random keys.
fn seeded() -> [u8; 16] {
    use std::hash::{BuildHasher as _, Hasher as _, RandomState};
    let half = || RandomState::new().build_hasher().finish().to_ne_bytes();
    let mut bytes = [0u8; 16];
    bytes[..8].copy_from_slice(&half());
    bytes[8..].copy_from_slice(&half());
    bytes
}

#[cfg(test)]
mod tests {
    #[test]
    fn tokens_are_long_and_never_the_same() {
        assert_eq!(super::token().len(), 32);
        assert_ne!(super::token(), super::token());
        assert_ne!(super::seeded(), super::seeded());
    }
}
