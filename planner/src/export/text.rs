//! Words of a plan as an engine may show them: one line, bounded, nothing that it would evaluate.

use super::yaml::breaks_line;

/// Makes one line of at most `max` characters; white space collapses, control characters go.
pub(crate) fn one_line(text: &str, max: usize) -> String {
    let spaced: String = text.chars().map(|c| if breaks_line(c) { ' ' } else { c }).collect();
    let line = spaced.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= max {
        return line;
    }
    let mut short: String = line.chars().take(max.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// Returns a lane's title, or its id when the title is empty.
pub(crate) fn title(lane: &plans::PlanLane, max: usize) -> String {
    let line = one_line(&lane.title, max);
    if line.is_empty() { lane.id.to_string() } else { line }
}

/// Takes GitHub's expressions apart: `${{ x }}` is shown as `$ {{ x }}` and never evaluated.
pub(crate) fn for_github(text: &str) -> String {
    text.replace("${{", "$ {{")
}

/// Doubles `$`, which `buildkite-agent pipeline upload` turns back into one; a backslash before
/// it is kept away from it, because `\$` is the other way to write the same.
pub(crate) fn for_buildkite(text: &str) -> String {
    text.replace("\\$", "\\ $").replace('$', "$$")
}

/// Keeps the characters that mean nothing in a GitLab job name.
pub(crate) fn for_gitlab(text: &str) -> String {
    text.chars()
        .map(|c| {
            let plain = c.is_alphanumeric() || matches!(c, ' ' | '.' | '_' | '-' | '/');
            if plain { c } else { '-' }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_stays_one_bounded_line() {
        assert_eq!(one_line(" a\n\tb\u{2028}c\u{1b}[2J ", 80), "a b c [2J");
        assert_eq!(one_line("abcdef", 4), "abc…");
    }

    #[test]
    fn an_expression_is_taken_apart_wherever_it_starts() {
        for text in ["${{ secrets.A }}", "$${{ x }}", "${{${{ x }}", "a${{"] {
            assert!(!for_github(text).contains("${{"), "{text}");
        }
    }

    #[test]
    fn a_dollar_is_never_expanded_on_upload() {
        assert_eq!(for_buildkite("$HOME ${X} $$"), "$$HOME $${X} $$$$");
        assert_eq!(for_buildkite("\\$X"), "\\ $$X");
    }
}
