//! What stands behind an error: the chain of its sources, for the last words of the two programs.

use std::error::Error;

/// Returns the texts of an error's sources that say something which no text before them says, the nearest first.
///
/// A message that ends with its cause is common; its cause would only repeat it.
///
/// ```
/// let disk = std::io::Error::other("no room");
/// let told = std::io::Error::other(std::io::Error::other(disk));
/// assert_eq!(plans::causes(&told), [""; 0]);
/// ```
#[must_use]
pub fn causes(error: &dyn Error) -> Vec<String> {
    let mut said = error.to_string();
    let mut causes = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !said.contains(text.trim()) {
            said.push('\n');
            said.push_str(&text);
            causes.push(text);
        }
        next = cause.source();
    }
    causes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Told {
        #[error("the file is not read: {0}")]
        Within(#[source] std::io::Error),
        #[error("the file is not read")]
        Apart(#[source] Box<Self>),
    }

    #[test]
    fn causes_are_told_once_and_in_order() {
        let within = || Told::Within(std::io::Error::other("no room"));
        assert_eq!(causes(&within()), [""; 0]);
        let apart = Told::Apart(Box::new(Told::Apart(Box::new(within()))));
        assert_eq!(causes(&apart), ["the file is not read: no room"]);
    }
}
