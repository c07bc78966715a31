//! Plots as SVG that stands in a page: colours are those of its style, numbers come with words for who does not see them.

use crate::{report::html::escape, text::push};

/// The width of one run.
const STEP: usize = 12;

/// Returns a strip of outcomes, the oldest first: each has a class, an address and words.
pub(super) fn strip(label: &str, cells: &[Option<(&str, String, String)>]) -> String {
    let width = cells.len() * STEP;
    let mut out = String::new();
    push!(
        out,
        "<svg class=\"plot\" width=\"{width}\" height=\"20\" viewBox=\"0 0 {width} 20\" role=\"group\" aria-label=\"{}\">",
        escape(label)
    );
    for (n, cell) in cells.iter().enumerate() {
        let Some((outcome, address, words)) = cell else { continue };
        let (x, words) = (n * STEP, escape(words));
        push!(
            out,
            "<a href=\"{}\" aria-label=\"{words}\" class=\"o {outcome}\"><title>{words}</title>\
             <rect class=\"cell\" x=\"{x}\" y=\"1\" width=\"10\" height=\"18\" rx=\"2\"/></a>",
            escape(address)
        );
    }
    out.push_str("</svg>");
    out
}

/// Returns times as bars, the oldest first, with a line at their median.
pub(super) fn times(label: &str, secs: &[f64], median: f64) -> String {
    const HEIGHT: f64 = 28.0;
    const BAR: usize = 5;
    let most = secs.iter().copied().fold(median, f64::max).max(0.001);
    let width = (secs.len() * BAR).max(BAR);
    let mut out = String::new();
    push!(
        out,
        "<svg class=\"plot\" width=\"{width}\" height=\"{HEIGHT}\" viewBox=\"0 0 {width} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
        escape(label)
    );
    for (n, time) in secs.iter().enumerate() {
        let high = (time / most * HEIGHT).max(1.0);
        push!(
            out,
            "<rect class=\"bar\" x=\"{}\" y=\"{:.1}\" width=\"4\" height=\"{high:.1}\"/>",
            n * BAR,
            HEIGHT - high
        );
    }
    let at = HEIGHT - median / most * HEIGHT;
    push!(out, "<line class=\"mid\" x1=\"0\" x2=\"{width}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/></svg>");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plots_say_in_words_what_they_show_and_hold_no_markup_of_others() {
        let cell = ("failed", "/runs/0/x".to_owned(), "<script>".to_owned());
        let svg = strip("a\"b", &[None, Some(cell)]);
        assert!(
            svg.contains("aria-label=\"a&quot;b\"")
                && svg.contains("x=\"12\"")
                && !svg.contains("<script")
        );
        let svg = times("x", &[1.0, 4.0], 1.0);
        assert_eq!(svg.matches("class=\"bar\"").count(), 2);
        assert!(svg.contains("y=\"21.0\"") && svg.contains("height=\"28.0\""), "{svg}");
        assert!(!times("x", &[], 0.0).contains("NaN"));
    }
}
