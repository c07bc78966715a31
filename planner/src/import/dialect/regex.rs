//! Regular expressions over paths: prow (Go's, anywhere in the path) and CircleCI's path filtering
//! (`grep -P`, the whole path).
//!
//! Read by `regex-syntax`, whose language is Go's. What it reads differently from Go or PCRE is
//! not read at all, and neither is what it does not know (`(?=…)`, `\Z`): then everything matches.

use regex_syntax::{
    ParserBuilder,
    hir::{Class, Hir, HirKind, Look, Repetition},
};

use super::{
    MOST, Translation,
    text::{Chars, Item, read, translation},
};

/// More characters than this are some characters.
const FEW: usize = 70;

/// Translates an expression that may match any part of a path.
pub(in crate::import) fn translate(pattern: &str) -> Translation {
    let found = parsed(pattern).and_then(|sequences| read(&sequences));
    match found {
        Some(found) => translation(pattern, found),
        None => Translation::everything(
            pattern,
            "is an expression that is not understood here; `**` is wider",
        ),
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Item(Item),
    Start,
    End,
}

/// Whether other engines read all of it the same way.
fn is_common(pattern: &str) -> bool {
    let odd = [
        "(?", "\\<", "\\>", "\\b{", "\\Q", "\\C", "{,", "\\x", "\\u", "\\U", "\\0", "++", "*+",
        "?+", "}+",
    ];
    let known = ["(?:", "(?i)", "(?P<", "(?i:"];
    let mut rest = pattern.to_owned();
    for group in known {
        rest = rest.replace(group, "");
    }
    if odd.iter().any(|it| rest.contains(it)) {
        return false;
    }
    // In a class: nested ones and set operations.
    let mut class: Option<usize> = None;
    let letters: Vec<char> = pattern.chars().collect();
    let mut at = 0;
    while at < letters.len() {
        match (letters[at], class) {
            ('\\', _) => at += 1,
            ('[', None) => {
                let negated = letters.get(at + 1) == Some(&'^');
                class = Some(at + usize::from(negated));
                at += usize::from(negated);
            }
            ('[', Some(_)) => return false,
            (']', Some(start)) if at > start + 1 => class = None,
            ('&' | '~' | '-', Some(_)) if letters.get(at + 1) == Some(&letters[at]) => {
                return false;
            }
            _ => {}
        }
        at += 1;
    }
    true
}

fn parsed(pattern: &str) -> Option<Vec<Vec<Item>>> {
    if !is_common(pattern) {
        return None;
    }
    let hir = ParserBuilder::new().nest_limit(60).build().parse(pattern).ok()?;
    let mut done = Vec::new();
    for sequence in sequences(&hir)? {
        if let Some(items) = anchored(&sequence) {
            done.push(items);
        }
    }
    done.dedup();
    Some(done)
}

/// What may stand before and behind; nothing if it matches no text.
fn anchored(sequence: &[Token]) -> Option<Vec<Item>> {
    let may_be_empty = |token: &Token| {
        matches!(
            token,
            Token::Start
                | Token::End
                | Token::Item(
                    Item::Doubt | Item::Text { least: false } | Item::Name { least: false }
                )
        )
    };
    let doubts = |tokens: &[Token]| tokens.contains(&Token::Item(Item::Doubt));
    let (mut from, mut to) = (0, sequence.len());
    let start = sequence.iter().rposition(|token| *token == Token::Start);
    let end = sequence.iter().position(|token| *token == Token::End);
    if let Some(start) = start {
        from = start + 1;
    }
    if let Some(end) = end {
        to = end;
    }
    if !sequence[..from].iter().all(may_be_empty) || !sequence[to..].iter().all(may_be_empty) {
        return None;
    }
    // `$` before `^`: only an empty text is both.
    if from > to {
        return None;
    }
    let mut items: Vec<Item> = Vec::new();
    if start.is_none() {
        items.push(Item::Text { least: false });
    }
    if doubts(sequence) {
        items.push(Item::Doubt);
    }
    items.extend(sequence[from..to].iter().filter_map(|token| match token {
        Token::Item(item) => Some(item.clone()),
        Token::Start | Token::End => None,
    }));
    if end.is_none() {
        items.push(Item::Text { least: false });
    }
    Some(items)
}

fn product(heads: &[Vec<Token>], tails: &[Vec<Token>]) -> Option<Vec<Vec<Token>>> {
    if heads.len() * tails.len() > MOST * 4 {
        return None;
    }
    let all = heads
        .iter()
        .flat_map(|head| tails.iter().map(move |tail| [head.as_slice(), tail].concat()));
    Some(all.collect())
}

/// Sequences of which one matches wherever the expression does.
fn sequences(hir: &Hir) -> Option<Vec<Vec<Token>>> {
    let one = |item: Item| vec![vec![Token::Item(item)]];
    Some(match hir.kind() {
        HirKind::Empty => vec![Vec::new()],
        HirKind::Literal(text) => {
            let text = std::str::from_utf8(&text.0).ok()?;
            vec![text.chars().map(|c| Token::Item(Item::Char(c))).collect()]
        }
        HirKind::Class(class) => {
            let chars = chars(class)?;
            if chars == Chars::Few(Vec::new()) {
                return Some(Vec::new());
            }
            one(Item::One(chars))
        }
        HirKind::Look(Look::Start | Look::StartLF | Look::StartCRLF) => vec![vec![Token::Start]],
        HirKind::Look(Look::End | Look::EndLF | Look::EndCRLF) => vec![vec![Token::End]],
        HirKind::Look(_) => one(Item::Doubt),
        HirKind::Repetition(of) => repeated(of)?,
        HirKind::Capture(inside) => sequences(&inside.sub)?,
        HirKind::Concat(list) => {
            let mut all = vec![Vec::new()];
            for part in list {
                all = product(&all, &sequences(part)?)?;
            }
            all
        }
        HirKind::Alternation(list) => {
            let mut all = Vec::new();
            for part in list {
                all.extend(sequences(part)?);
            }
            if all.len() > MOST * 4 {
                return None;
            }
            all
        }
    })
}

fn repeated(of: &Repetition) -> Option<Vec<Vec<Token>>> {
    let item = |item: Item| vec![Token::Item(item)];
    let least = of.min > 0;
    if let (HirKind::Class(class), None) = (of.sub.kind(), of.max) {
        let (run, same) = match chars(class)? {
            Chars::All { slash: true } => (Item::Text { least }, true),
            Chars::All { slash: false } => (Item::Name { least }, true),
            Chars::Some { slash: true } => (Item::Text { least }, false),
            Chars::Some { slash: false } => (Item::Name { least }, false),
            Chars::Few(list) if list.contains(&'/') => (Item::Text { least }, false),
            Chars::Few(_) => (Item::Name { least }, false),
        };
        let doubt = if same && of.min < 2 { Vec::new() } else { item(Item::Doubt) };
        return Some(vec![[item(run), doubt].concat()]);
    }
    let inside = sequences(&of.sub)?;
    let mut times = vec![Vec::new()];
    for _ in 0..of.min.min(3) {
        times = product(&times, &inside)?;
    }
    let wide = [item(Item::Text { least: false }), item(Item::Doubt)].concat();
    match of.max {
        Some(most) if most <= 3 => {
            let mut all = times.clone();
            for _ in of.min..most {
                times = product(&times, &inside)?;
                all.extend(times.iter().cloned());
            }
            Some(all)
        }
        _ => product(&times, &[wide]),
    }
}

/// The characters of a class.
fn chars(class: &Class) -> Option<Chars> {
    let Class::Unicode(class) = class else { return None };
    let ranges = class.ranges();
    let has = |c: char| ranges.iter().any(|range| range.start() <= c && c <= range.end());
    let count: usize = ranges.iter().map(|range| range.len()).sum();
    if count <= FEW {
        let list = ranges.iter().flat_map(|range| range.start()..=range.end());
        return Some(Chars::Few(list.collect()));
    }
    let mut others = class.clone();
    others.negate();
    // No path is told apart by a line's end.
    let outside = others.ranges().iter().flat_map(|range| range.start()..=range.end());
    let outside: Vec<char> = outside.take(4).filter(|c| !['\n', '\r'].contains(c)).collect();
    let slash = has('/');
    Some(match outside.as_slice() {
        [] => Chars::All { slash: true },
        ['/'] => Chars::All { slash: false },
        _ => Chars::Some { slash },
    })
}
