//! The reading without line breaks, where it need not be written out: what is sought there spans few breaks of any output.
//!
//! A needle inside of a line is found in the text as it is. One that spans a break shows in the two bytes around it: they
//! stand side by side in the needle. So the bytes around each break are looked up, those around them only where that is so, and
//! the text is written out ([`super::reading`]) only where a needle is there for certain. What a byte is (left out or not) shows
//! in few bytes before it, so that the end of the text is read backwards.

use memchr::memchr3;

use super::{needles::Needles, reading::MOST_LEFT_OUT};

/// Text in which no needle spans a line break.
#[derive(Debug)]
pub(super) struct Folded<'a> {
    pub(super) text: &'a [u8],
    /// Where an escape begins that the text ends in.
    pub(super) torn: Option<usize>,
}

impl<'a> Folded<'a> {
    /// Looks at the breaks of a text. `None`: a needle spans one, or more is left out at one place than any writer of a
    /// secret does.
    pub(super) fn new(text: &'a [u8], needles: &Needles, is_last: bool) -> Option<Self> {
        let mut torn = None;
        let mut around = Vec::new();
        let mut at = 0;
        while let Some(found) = memchr3(b'\n', b'\r', b'\\', &text[at..]) {
            let start = at + found;
            if !is_last && start + 1 == text.len() && text[start] == b'\\' {
                torn = Some(start);
                break;
            }
            let end = end_of_break(text, start);
            if end == start {
                // A backslash of its own.
                at = start + 1;
                continue;
            }
            if end - start > MOST_LEFT_OUT {
                return None;
            }
            if start > 0
                && end < text.len()
                && needles.has_pair(text[start - 1], text[end])
                && spans(text, needles, (start, end), &mut around)
            {
                return None;
            }
            at = end;
        }
        Some(Self { text, torn })
    }

    /// Returns from where on the end of the text may be the beginning of a needle; its length if it cannot.
    pub(super) fn undecided(&self, needles: &Needles) -> usize {
        let (mut bytes, mut from) = (Vec::new(), Vec::new());
        let mut at = self.torn.unwrap_or(self.text.len());
        while bytes.len() + 1 < needles.longest() {
            let Some(before) = kept_before(self.text, at) else { break };
            bytes.push(self.text[before]);
            from.push(before);
            at = before;
        }
        bytes.reverse();
        let open = needles.undecided(&bytes);
        let open = from.iter().rev().nth(open).copied().unwrap_or(self.text.len());
        open.min(self.torn.unwrap_or(self.text.len()))
    }
}

/// Returns whether a needle spans the break from `start` to `end`. `around` is room to work in.
fn spans(
    text: &[u8],
    needles: &Needles,
    (start, end): (usize, usize),
    around: &mut Vec<u8>,
) -> bool {
    let most = needles.longest() - 1;
    around.clear();
    let mut at = start;
    while around.len() < most {
        let Some(before) = kept_before(text, at) else { break };
        // Further away is no needle's either.
        if around.last().is_some_and(|&behind| !needles.has_pair(text[before], behind)) {
            break;
        }
        around.push(text[before]);
        at = before;
    }
    around.reverse();
    let (mut at, most) = (end, around.len() + most);
    while at < text.len() && around.len() < most {
        if around.last().is_some_and(|&before| !needles.has_pair(before, text[at])) {
            break;
        }
        around.push(text[at]);
        at = end_of_break(text, at + 1);
    }
    let mut at = 0;
    while let Some(found) = needles.candidate(around, at) {
        if needles.longest_at(&around[found..]).is_some() {
            return true;
        }
        at = found + 1;
    }
    false
}

/// Returns the end of what is left out at `at`: line breaks, also written as `\n`, with the indentation behind them.
fn end_of_break(text: &[u8], mut at: usize) -> usize {
    loop {
        match &text[at.min(text.len())..] {
            [b'\n' | b'\r', rest @ ..] => {
                at += 1 + rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
            }
            [b'\\', b'n' | b'r', ..] => at += 2,
            _ => return at,
        }
    }
}

/// Returns the last byte before `at` that is not left out. `at` is such a byte, or behind a whole piece of the text.
fn kept_before(text: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at = at.checked_sub(1)?;
        match text[at] {
            b'\n' | b'\r' => {}
            b'n' | b'r' if at > 0 && text[at - 1] == b'\\' => at -= 1,
            b' ' | b'\t' => {
                // After a longer row nothing is read here.
                let blanks = text[..at].iter().rev().take(MOST_LEFT_OUT);
                let blanks = blanks.take_while(|byte| matches!(byte, b' ' | b'\t')).count();
                match text[..at - blanks].last() {
                    Some(b'\n' | b'\r') => at -= blanks,
                    _ => return Some(at),
                }
            }
            _ => return Some(at),
        }
    }
}
