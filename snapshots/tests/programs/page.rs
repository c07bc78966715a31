//! A page of the documentation as a list of blocks, and what a printed line may leave out.
//!
//! In expected output a line `…` stands for any lines, a `…` within a line for any text.

use std::ops::Range;

/// Something fenced, or a comment that prepares the commands after it.
#[derive(Debug)]
pub(crate) struct Block {
    /// `console`, `toml`, …; `setup` for a comment `<!-- setup … -->`.
    pub(crate) language: String,
    /// The second word after the fence: the file that this is the content of.
    pub(crate) file: Option<String>,
    /// The line of the page it starts on, from 1.
    pub(crate) line: usize,
    /// What stands between the fences.
    pub(crate) text: String,
    /// Where that is in the page, in bytes.
    pub(crate) range: Range<usize>,
}

/// One command of a `console` block and what the page says it prints.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) line: String,
    pub(crate) expected: String,
}

/// Returns the blocks of a page, in order.
pub(crate) fn blocks(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut open: Option<(Block, String)> = None;
    let mut at = 0;
    for (number, line) in page.split_inclusive('\n').enumerate() {
        let word = line.trim_end();
        if let Some((block, end)) = &mut open {
            if word == end {
                block.range.end = at;
                block.text = page[block.range.clone()].to_owned();
                blocks.extend(open.take().map(|(block, _)| block));
            }
        } else if word.starts_with("```") {
            // A fence of four holds one of three.
            let info = word.trim_start_matches('`');
            let fence = word[..word.len() - info.len()].to_owned();
            let mut words = info.split_whitespace().map(str::to_owned);
            let language = words.next().unwrap_or_default();
            let after = at + line.len();
            let block = Block {
                language,
                file: words.next(),
                line: number + 1,
                text: String::new(),
                range: after..after,
            };
            open = Some((block, fence));
        } else if word == "<!-- setup" {
            let after = at + line.len();
            let block = Block {
                language: "setup".to_owned(),
                file: None,
                line: number + 1,
                text: String::new(),
                range: after..after,
            };
            open = Some((block, "-->".to_owned()));
        }
        at += line.len();
    }
    assert!(open.is_none(), "a block does not end: {open:?}");
    blocks
}

/// Returns the commands of a `console` block: lines that start with `$ `, continued by `> `.
pub(crate) fn calls(text: &str) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    for line in text.split_inclusive('\n') {
        if let Some(command) = line.strip_prefix("$ ") {
            let line = command.trim_end().to_owned();
            calls.push(Call { line, expected: String::new() });
            continue;
        }
        let call = calls.last_mut().expect("a console block starts with `$ `");
        match line.strip_prefix("> ").or((line == ">\n").then_some("")) {
            Some(more) if call.expected.is_empty() => {
                call.line.push('\n');
                call.line.push_str(more.trim_end_matches('\n'));
            }
            _ => call.expected.push_str(line),
        }
    }
    calls
}

/// Writes commands and outputs as a `console` block again.
pub(crate) fn console(calls: &[Call]) -> String {
    let mut text = String::new();
    for call in calls {
        for (number, line) in call.line.lines().enumerate() {
            text.push_str(if number == 0 { "$ " } else { "> " });
            text.push_str(line);
            text.push('\n');
        }
        text.push_str(&call.expected);
    }
    text
}

/// Whether output is what the page says, `…` standing for anything.
pub(crate) fn fits(expected: &str, shown: &str) -> bool {
    let expected: Vec<_> = expected.lines().collect();
    let shown: Vec<_> = shown.lines().collect();
    lines_fit(&expected, &shown)
}

fn lines_fit(expected: &[&str], shown: &[&str]) -> bool {
    match expected.split_first() {
        None => shown.is_empty(),
        Some((line, rest)) if line.trim() == "…" => {
            (0..=shown.len()).any(|skipped| lines_fit(rest, &shown[skipped..]))
        }
        Some((line, rest)) => {
            let next = shown.split_first();
            next.is_some_and(|(first, others)| line_fits(line, first) && lines_fit(rest, others))
        }
    }
}

fn line_fits(expected: &str, shown: &str) -> bool {
    let (expected, shown) = (expected.trim_end(), shown.trim_end());
    let Some((start, rest)) = expected.split_once('…') else { return expected == shown };
    let Some(mut left) = shown.strip_prefix(start) else { return false };
    let mut parts = rest.split('…').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return left.ends_with(part);
        }
        let Some(found) = left.find(part) else { return false };
        left = &left[found + part.len()..];
    }
    true
}

/// Leaves out of an output what the next run would print differently: ids of runs, times,
/// seconds, and the scratch directory.
pub(crate) fn settled(shown: &str, scratch: &str) -> String {
    let mut text = String::new();
    for line in shown.replace(scratch, "…").lines() {
        let line = without(&without(line, RUN_ID), TIME);
        let words = line.split_inclusive(' ').map(|piece| {
            let word = piece.trim_end_matches([' ', ':', ',']);
            let seconds = word
                .strip_suffix('s')
                .is_some_and(|number| number.contains('.') && number.parse::<f64>().is_ok());
            if seconds { format!("…s{}", &piece[word.len()..]) } else { piece.to_owned() }
        });
        let line: String = words.collect();
        text.push_str(line.trim_end_matches(' '));
        text.push('\n');
    }
    text
}

/// `9` is a digit, `f` a hexadecimal one, the rest itself.
const RUN_ID: &str = "99999999-999999-999-ffffff";
const TIME: &str = "9999-99-99T99:99:99.999Z";

fn without(line: &str, shape: &str) -> String {
    let has_shape = |text: &str| {
        text.len() == shape.len()
            && text.chars().zip(shape.chars()).all(|(c, like)| match like {
                '9' => c.is_ascii_digit(),
                'f' => c.is_ascii_hexdigit(),
                _ => c == like,
            })
    };
    let mut text = String::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let found = rest.get(..shape.len()).is_some_and(has_shape);
        text.push(if found { '…' } else { first });
        rest = &rest[if found { shape.len() } else { first.len_utf8() }..];
    }
    text
}

#[test]
fn an_ellipsis_stands_for_lines_and_for_text() {
    for (expected, shown, fit) in [
        ("a\nb\n", "a\nb\n", true),
        ("a\n…\n", "a\nb\nc\n", true),
        ("…\nc\n", "a\nb\nc\n", true),
        ("…\nd\n", "a\nb\nc\n", false),
        ("run …: 1 node\n", "run 20-1: 1 node\n", true),
        ("run …: 1 node\n", "run 20-1: 2 nodes\n", false),
        ("a … b … c\n", "a 1 b 2 c\n", true),
        ("", "a\n", false),
        ("a\n", "", false),
        ("…\n", "", true),
    ] {
        assert_eq!(fits(expected, shown), fit, "{expected:?} and {shown:?}");
    }
}

#[test]
fn a_page_is_read_and_written_back() {
    let page = "# T\n\n```toml ci/a.toml\nversion = 1\n```\n<!-- setup\ngit init\n-->\n\
                ```console\n$ cat <<E\n> x\n> E\nx\n$ true\n```\n";
    let blocks = blocks(page);
    let kinds: Vec<_> = blocks.iter().map(|b| (b.language.as_str(), b.line)).collect();
    assert_eq!(kinds, [("toml", 3), ("setup", 6), ("console", 9)]);
    assert_eq!(blocks[0].file.as_deref(), Some("ci/a.toml"));
    assert_eq!(blocks[1].text, "git init\n");
    let calls = calls(&blocks[2].text);
    assert_eq!((calls[0].line.as_str(), calls[0].expected.as_str()), ("cat <<E\nx\nE", "x\n"));
    assert_eq!(console(&calls), blocks[2].text);
}

#[test]
fn an_update_leaves_out_what_changes_by_itself() {
    assert_eq!(
        settled(
            "run 20261123-004627-764-4485f7: 1 node\n  0.1s  x /tmp/a/p\n\
             on 2026-11-23T00:54:08.376Z, 1 s\n",
            "/tmp/a"
        ),
        "run …: 1 node\n  …s  x …/p\non …, 1 s\n"
    );
}
