//! Whether some path can match two globs at once.
//!
//! Errs towards yes: components that both hold signs are not compared, and neither are globs whose
//! braces hold a `/`.

use super::Glob;

/// Returns whether a path may match both globs; `false` is certain.
pub fn may_meet(one: &str, other: &str) -> bool {
    let (Some(one), Some(other)) = (components(one), components(other)) else { return true };
    // Row by row: whether what is before `one[i]` and `other[j]` can be the same path.
    let mut row = vec![false; other.len() + 1];
    row[0] = true;
    for j in 0..other.len() {
        row[j + 1] = row[j] && other[j] == "**";
    }
    for &a in &one {
        let mut next = vec![false; other.len() + 1];
        next[0] = row[0] && a == "**";
        for (j, &b) in other.iter().enumerate() {
            next[j + 1] = match (a, b) {
                // Each may stand for nothing, or take in one component more of the other.
                ("**", _) => row[j + 1] || next[j] || (b == "**" && row[j]),
                (_, "**") => next[j] || row[j + 1],
                _ => row[j] && may_be_alike(a, b),
            };
        }
        row = next;
    }
    row[other.len()]
}

/// The components of a glob; nothing: a brace or a class holds a `/`.
fn components(glob: &str) -> Option<Vec<&str>> {
    let mut depth = 0usize;
    for c in glob.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            '/' if depth > 0 => return None,
            _ => {}
        }
    }
    Some(glob.split('/').collect())
}

fn may_be_alike(a: &str, b: &str) -> bool {
    let plain = |text: &str| !text.contains(['*', '?', '[', ']', '{', '}', '\\']);
    let matches =
        |glob: &str, text: &str| Glob::new(glob).is_ok_and(|glob| glob.is_match(text.as_bytes()));
    match (plain(a), plain(b)) {
        (true, true) => a == b,
        (true, false) => matches(b, a),
        (false, true) => matches(a, b),
        (false, false) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_meet_when_a_path_could_match_both() {
        for (one, other) in [
            ("dist/**", "dist/**"),
            ("dist/**", "dist/app.js"),
            ("**/*.js", "dist/app.js"),
            ("**", "a/b/c"),
            ("a/**/c", "a/b/**"),
            ("a/**/c", "a/c"),
            ("**/junit.xml", "target/**"),
            ("*/x", "a/*"),
            ("{a/b,c}/d", "q"),
            ("dist/*.js", "dist/*.css"),
            ("a/**/b/**/c", "**/b/x/c"),
        ] {
            assert!(may_meet(one, other), "{one} {other}");
            assert!(may_meet(other, one), "{other} {one}");
        }
        for (one, other) in [
            ("dist/**", "build/**"),
            ("dist/*.js", "dist/app.css"),
            ("dist/*", "dist/a/b"),
            ("a/**/c", "a/b/d"),
            ("app.js", "dist/app.js"),
            ("**/*.js", "dist/app.css"),
        ] {
            assert!(!may_meet(one, other), "{one} {other}");
            assert!(!may_meet(other, one), "{other} {one}");
        }
    }
}
