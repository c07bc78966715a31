//! Globs of workspace patterns: braces, classes, `**` and extended globs, in the flavours of the
//! two matchers that package managers use.
//!
//! Owns what one pattern without its `!` matches. Which patterns there are, what a `!` takes away
//! and in which order is the dialect's affair ([`super::patterns`]). The crates there are for globs
//! know no extended globs, or translate `!(…)` to a look-ahead that no linear engine runs.
//!
//! A pattern that is not understood to the letter is refused with the reason, and the dialect runs
//! more; it is never taken to match nothing.

/// Whose rules hold where matchers differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flavour {
    /// minimatch: npm, yarn 1, and bun as far as it can be told apart.
    Minimatch,
    /// picomatch: yarn 2 and newer, pnpm.
    Picomatch,
}

/// Why a pattern is not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotUnderstood {
    /// A bracket or parenthesis without its partner, or a backslash at the end.
    Unclosed,
    /// A slash inside a parenthesis.
    SlashInGroup,
    /// `!(…)` inside another parenthesis, or more than [`MOST_NEGATIONS`] of them in one name.
    Negations,
    /// Longer or more manifold than any workspace's patterns are.
    TooLarge,
}

impl NotUnderstood {
    /// The reason in words.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Unclosed => "a bracket is not closed",
            Self::SlashInGroup => "a slash stands in a parenthesis",
            Self::Negations => "`!(…)` is nested, or stands more than three times in one name",
            Self::TooLarge => "it is too long or too manifold",
        }
    }
}

/// A bound for what a hostile pattern can cost.
const MOST_ALTERNATIVES: usize = 1_000;
const MOST_NEGATIONS: usize = 3;
const MOST_LENGTH: usize = 2_000;
const MOST_DEPTH: usize = 8;

/// One pattern, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Glob {
    /// One for each way to choose from its braces.
    alternatives: Vec<Vec<Segment>>,
    dots: bool,
    flavour: Flavour,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    /// `**` alone between slashes.
    AnyDepth,
    Name(Vec<Part>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(char),
    One,
    Star,
    Class { negated: bool, items: Vec<(char, char)> },
    Group(Repeat, Vec<Vec<Self>>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repeat {
    /// `?(…)`
    AtMostOnce,
    /// `*(…)`
    Any,
    /// `+(…)`
    AtLeastOnce,
    /// `@(…)`
    Once,
    /// `!(…)`
    Not,
}

impl Glob {
    /// Understands a pattern; a leading `./` and empty components are passed over.
    pub(super) fn new(pattern: &str, flavour: Flavour) -> Result<Self, NotUnderstood> {
        if pattern.len() > MOST_LENGTH {
            return Err(NotUnderstood::TooLarge);
        }
        let mut alternatives = Vec::new();
        for text in braces(pattern)? {
            let mut segments: Vec<Segment> = Vec::new();
            for name in split(&text)? {
                match name.as_str() {
                    "" | "." => {}
                    // Out of the workspace, or back from a name: `packages/../other`.
                    ".." if segments.last().is_some_and(is_plain_name) => {
                        segments.pop();
                    }
                    "**" if segments.last() == Some(&Segment::AnyDepth) => {}
                    "**" => segments.push(Segment::AnyDepth),
                    name => segments.push(Segment::Name(parts(name, flavour)?)),
                }
            }
            alternatives.push(segments);
        }
        Ok(Self { alternatives, dots: false, flavour })
    }

    /// The same, taking names that begin with a dot too: patterns that exclude do.
    pub(super) fn with_dots(mut self) -> Self {
        self.dots = true;
        self
    }

    /// Whether it matches a path; `**` may stand for nothing.
    pub(super) fn is_match(&self, path: &str) -> bool {
        let names: Vec<Vec<char>> = names_of(path);
        self.alternatives.iter().any(|segments| self.segments_match(segments, &names))
    }

    /// Whether a pattern other than `**` at its end, or something below that, matches.
    pub(super) fn is_match_below(&self, path: &str) -> bool {
        let names: Vec<Vec<char>> = names_of(path);
        self.alternatives.iter().any(|segments| match segments.as_slice() {
            [base @ .., Segment::AnyDepth] if !base.is_empty() => {
                self.segments_match(segments, &names) && !self.segments_match(base, &names)
            }
            segments => self.segments_match(segments, &names),
        })
    }

    /// Coarse patterns that the tree can be asked with: every path that matches is among their
    /// answers. They hold only names, `*` and `**`; names are escaped.
    pub(super) fn coarse(&self) -> Vec<String> {
        let coarse = |segments: &Vec<Segment>| {
            let names = segments.iter().map(|segment| match segment {
                Segment::AnyDepth => "**".to_owned(),
                Segment::Name(parts) => literal(parts).unwrap_or_else(|| "*".to_owned()),
            });
            names.collect::<Vec<String>>().join("/")
        };
        let mut coarse: Vec<String> = self.alternatives.iter().map(coarse).collect();
        coarse.sort_unstable();
        coarse.dedup();
        coarse
    }

    /// Directories, named outright, whose entries may match.
    pub(super) fn parents(&self) -> Vec<String> {
        let parent = |segments: &Vec<Segment>| {
            let (_, above) = segments.split_last()?;
            let names = above.iter().map(|segment| match segment {
                Segment::Name(parts) => plain(parts),
                Segment::AnyDepth => None,
            });
            names.collect::<Option<Vec<String>>>().map(|names| names.join("/"))
        };
        self.alternatives.iter().filter_map(parent).collect()
    }

    /// Whether it names directories outright.
    pub(super) fn is_literal(&self) -> bool {
        let name = |segment: &Segment| match segment {
            Segment::AnyDepth => false,
            Segment::Name(parts) => literal(parts).is_some(),
        };
        self.alternatives.iter().all(|segments| segments.iter().all(name))
    }

    fn segments_match(&self, segments: &[Segment], names: &[Vec<char>]) -> bool {
        let mut at = vec![false; names.len() + 1];
        at[0] = true;
        for segment in segments {
            let mut next = vec![false; names.len() + 1];
            match segment {
                Segment::AnyDepth => {
                    let mut open = false;
                    for index in 0..=names.len() {
                        open |= at[index];
                        next[index] = open;
                        if index < names.len() && !self.dots && names[index].first() == Some(&'.') {
                            open = false;
                        }
                    }
                }
                Segment::Name(parts) => {
                    for (index, name) in names.iter().enumerate() {
                        next[index + 1] = at[index] && self.name_matches(parts, name);
                    }
                }
            }
            at = next;
        }
        at[names.len()]
    }

    fn name_matches(&self, parts: &[Part], name: &[char]) -> bool {
        self.ends(parts, name, 0).last() == Some(&true)
    }

    /// Where a match of `parts` that begins at `start` can end.
    fn ends(&self, parts: &[Part], name: &[char], start: usize) -> Vec<bool> {
        let mut at = vec![false; name.len() + 1];
        at[start] = true;
        for (index, part) in parts.iter().enumerate() {
            let tail = &parts[index + 1..];
            let mut next = vec![false; name.len() + 1];
            for from in (0..=name.len()).filter(|&from| at[from]) {
                self.one(part, tail, name, from, &mut next);
            }
            at = next;
        }
        at
    }

    fn one(&self, part: &Part, tail: &[Part], name: &[char], from: usize, next: &mut [bool]) {
        // A dot at the beginning is taken only by a dot that is written.
        let hidden = !self.dots && from == 0 && name.first() == Some(&'.');
        match part {
            Part::Literal(wanted) => {
                if name.get(from) == Some(wanted) {
                    next[from + 1] = true;
                }
            }
            Part::One if from < name.len() && !hidden => next[from + 1] = true,
            Part::One => {}
            Part::Star => {
                next[from] = true;
                if !hidden {
                    next[from..].fill(true);
                }
            }
            Part::Class { negated, items } => {
                let hidden = hidden && (self.flavour == Flavour::Minimatch || !negated);
                let Some(&is) = name.get(from) else { return };
                let inside = items.iter().any(|&(low, high)| low <= is && is <= high);
                if inside != *negated && !hidden {
                    next[from + 1] = true;
                }
            }
            Part::Group(Repeat::Not, alternatives) => {
                if hidden && self.flavour == Flavour::Minimatch {
                    return;
                }
                // Not what an alternative and the rest of the name would be together.
                let taken = alternatives.iter().any(|alternative| {
                    let whole: Vec<Part> = alternative.iter().chain(tail).cloned().collect();
                    self.ends(&whole, name, from).last() == Some(&true)
                });
                if !taken {
                    next[from..].fill(true);
                }
            }
            Part::Group(repeat, alternatives) => {
                if matches!(repeat, Repeat::AtMostOnce | Repeat::Any) {
                    next[from] = true;
                }
                let mut queue = vec![from];
                let mut seen = vec![false; name.len() + 1];
                while let Some(from) = queue.pop() {
                    for alternative in alternatives {
                        let ends = self.ends(alternative, name, from);
                        for end in (from..=name.len()).filter(|&end| ends[end]) {
                            next[end] = true;
                            let again = matches!(repeat, Repeat::Any | Repeat::AtLeastOnce);
                            if again && end > from && !seen[end] {
                                seen[end] = true;
                                queue.push(end);
                            }
                        }
                    }
                }
            }
        }
    }
}

fn names_of(path: &str) -> Vec<Vec<char>> {
    path.split('/').filter(|name| !name.is_empty()).map(|name| name.chars().collect()).collect()
}

fn is_plain_name(segment: &Segment) -> bool {
    matches!(segment, Segment::Name(parts) if literal(parts).is_some_and(|name| name != ".."))
}

/// The name that parts without any magic spell, escaped for a glob.
fn literal(parts: &[Part]) -> Option<String> {
    let mut name = String::new();
    for part in parts {
        match part {
            Part::Literal(character) if "*?[]{}\\!".contains(*character) => {
                name.extend(['[', *character, ']']);
            }
            Part::Literal(character) => name.push(*character),
            _ => return None,
        }
    }
    Some(name)
}

/// The same, not escaped.
fn plain(parts: &[Part]) -> Option<String> {
    let character = |part: &Part| match part {
        Part::Literal(character) => Some(*character),
        _ => None,
    };
    parts.iter().map(character).collect()
}

/// The texts that a pattern with braces stands for.
fn braces(pattern: &str) -> Result<Vec<String>, NotUnderstood> {
    let mut open = vec![(pattern.to_owned(), 0)];
    let mut done = Vec::new();
    while let Some((text, from)) = open.pop() {
        if open.len() + done.len() > MOST_ALTERNATIVES {
            return Err(NotUnderstood::TooLarge);
        }
        let Some((start, end, choices)) = first_brace(&text, from) else {
            done.push(text);
            continue;
        };
        let Some(choices) = choices else {
            // `{a}` is no choice; what it holds may have some.
            open.push((text, start + 1));
            continue;
        };
        if choices.len() > MOST_ALTERNATIVES {
            return Err(NotUnderstood::TooLarge);
        }
        for choice in choices.into_iter().rev() {
            let expanded = format!("{}{choice}{}", &text[..start], &text[end..]);
            if expanded.len() > MOST_LENGTH {
                return Err(NotUnderstood::TooLarge);
            }
            open.push((expanded, start));
        }
    }
    Ok(done)
}

/// The first brace from a place on: where it begins and ends, and its choices if it has some.
fn first_brace(text: &str, from: usize) -> Option<(usize, usize, Option<Vec<String>>)> {
    let bytes = text.as_bytes();
    let mut start = from;
    while start < bytes.len() {
        match bytes[start] {
            b'\\' => start += 1,
            b'{' => {
                let mut depth = 0_usize;
                let mut commas = Vec::new();
                let mut end = start;
                while end < bytes.len() {
                    match bytes[end] {
                        b'\\' => end += 1,
                        b'{' => depth += 1,
                        b'}' => {
                            depth -= 1;
                            if depth == 0 {
                                break;
                            }
                        }
                        b',' if depth == 1 => commas.push(end),
                        _ => {}
                    }
                    end += 1;
                }
                if end < bytes.len() {
                    let inner = &text[start + 1..end];
                    let choices = if commas.is_empty() {
                        range(inner)
                    } else {
                        let mut choices = Vec::new();
                        let mut last = start + 1;
                        for comma in commas.into_iter().chain([end]) {
                            choices.push(text[last..comma].to_owned());
                            last = comma + 1;
                        }
                        Some(choices)
                    };
                    return Some((start, end + 1, choices));
                }
            }
            _ => {}
        }
        start += 1;
    }
    None
}

/// The values of `1..3`, `a..c`, `1..9..2`.
fn range(inner: &str) -> Option<Vec<String>> {
    let mut fields = inner.split("..");
    let (first, last, step) = (fields.next()?, fields.next()?, fields.next());
    if fields.next().is_some() {
        return None;
    }
    let step: i64 = step.map_or(Some(1), |step| step.parse().ok())?;
    let step = step.checked_abs()?.max(1);
    let letter = |text: &str| {
        let mut characters = text.chars();
        let letter = characters.next().filter(char::is_ascii_alphabetic)?;
        characters.next().is_none().then_some(letter)
    };
    let walk = |first: i64, last: i64| {
        let up = first <= last;
        let mut values = vec![first];
        let mut at = first;
        while values.len() <= MOST_ALTERNATIVES {
            at = if up { at.checked_add(step)? } else { at.checked_sub(step)? };
            if (up && at > last) || (!up && at < last) {
                break;
            }
            values.push(at);
        }
        Some(values)
    };
    if let (Some(first), Some(last)) = (letter(first), letter(last)) {
        let values = walk(i64::from(u32::from(first)), i64::from(u32::from(last)))?;
        let letters = values.into_iter().filter_map(|value| u8::try_from(value).ok());
        return Some(letters.map(|letter| char::from(letter).to_string()).collect());
    }
    let width = if first.starts_with('0') || last.starts_with('0') {
        first.len().max(last.len())
    } else {
        0
    };
    let values = walk(first.parse().ok()?, last.parse().ok()?)?;
    Some(values.into_iter().map(|value| format!("{value:0width$}")).collect())
}

/// Splits at slashes that are not inside brackets or parentheses.
fn split(text: &str) -> Result<Vec<String>, NotUnderstood> {
    let mut names = vec![String::new()];
    let mut depth = 0_usize;
    let mut characters = text.chars().peekable();
    let mut before = '/';
    while let Some(character) = characters.next() {
        let name = names.last_mut().expect("one name at least");
        match character {
            '\\' => {
                name.push(character);
                name.push(characters.next().ok_or(NotUnderstood::Unclosed)?);
            }
            '(' if depth > 0 || "?*+@!".contains(before) => {
                depth += 1;
                name.push(character);
            }
            ')' if depth > 0 => {
                depth -= 1;
                name.push(character);
            }
            '/' if depth > 0 => return Err(NotUnderstood::SlashInGroup),
            '/' => names.push(String::new()),
            _ => name.push(character),
        }
        before = character;
    }
    if depth > 0 { Err(NotUnderstood::Unclosed) } else { Ok(names) }
}

fn parts(name: &str, flavour: Flavour) -> Result<Vec<Part>, NotUnderstood> {
    let characters: Vec<char> = name.chars().collect();
    let mut at = 0;
    let parts = sequence(&characters, &mut at, 0, flavour)?;
    if at < characters.len() {
        return Err(NotUnderstood::Unclosed);
    }
    let negations = parts.iter().filter(|part| matches!(part, Part::Group(Repeat::Not, _))).count();
    if negations > MOST_NEGATIONS { Err(NotUnderstood::Negations) } else { Ok(parts) }
}

/// Reads up to the end, or up to a `|` or `)` inside a group.
fn sequence(
    text: &[char],
    at: &mut usize,
    depth: usize,
    flavour: Flavour,
) -> Result<Vec<Part>, NotUnderstood> {
    if depth > MOST_DEPTH {
        return Err(NotUnderstood::TooLarge);
    }
    let mut parts = Vec::new();
    while let Some(&character) = text.get(*at) {
        let repeat = match character {
            '?' => Some(Repeat::AtMostOnce),
            '*' => Some(Repeat::Any),
            '+' => Some(Repeat::AtLeastOnce),
            '@' => Some(Repeat::Once),
            '!' => Some(Repeat::Not),
            _ => None,
        };
        if let Some(repeat) = repeat.filter(|_| text.get(*at + 1) == Some(&'(')) {
            if repeat == Repeat::Not && depth > 0 {
                return Err(NotUnderstood::Negations);
            }
            *at += 2;
            parts.push(Part::Group(repeat, group(text, at, depth, flavour)?));
            continue;
        }
        match character {
            '|' | ')' if depth > 0 => return Ok(parts),
            // A plain group, which only picomatch knows.
            '(' if depth > 0 || flavour == Flavour::Picomatch => {
                *at += 1;
                parts.push(Part::Group(Repeat::Once, group(text, at, depth, flavour)?));
                continue;
            }
            '\\' => {
                *at += 1;
                parts.push(Part::Literal(*text.get(*at).ok_or(NotUnderstood::Unclosed)?));
            }
            '?' => parts.push(Part::One),
            '*' if parts.last() == Some(&Part::Star) => {}
            '*' => parts.push(Part::Star),
            '[' => parts.push(class(text, at)?),
            character => parts.push(Part::Literal(character)),
        }
        *at += 1;
    }
    if depth > 0 { Err(NotUnderstood::Unclosed) } else { Ok(parts) }
}

/// Reads the alternatives of a group, past its `)`.
fn group(
    text: &[char],
    at: &mut usize,
    depth: usize,
    flavour: Flavour,
) -> Result<Vec<Vec<Part>>, NotUnderstood> {
    let mut alternatives = Vec::new();
    loop {
        alternatives.push(sequence(text, at, depth + 1, flavour)?);
        let end = text.get(*at).ok_or(NotUnderstood::Unclosed)?;
        *at += 1;
        if *end == ')' {
            return Ok(alternatives);
        }
    }
}

/// Reads a class and leaves `at` on its `]`.
fn class(text: &[char], at: &mut usize) -> Result<Part, NotUnderstood> {
    let mut index = *at + 1;
    let negated = matches!(text.get(index), Some('!' | '^'));
    index += usize::from(negated);
    let first = index;
    let mut items: Vec<(char, char)> = Vec::new();
    loop {
        let mut character = *text.get(index).ok_or(NotUnderstood::Unclosed)?;
        if character == ']' && index > first {
            *at = index;
            return Ok(Part::Class { negated, items });
        }
        if character == '[' && text.get(index + 1) == Some(&':') {
            let rest = &text[index + 2..];
            let end = rest.iter().position(|&it| it == ':').ok_or(NotUnderstood::Unclosed)?;
            if rest.get(end + 1) != Some(&']') {
                return Err(NotUnderstood::Unclosed);
            }
            let name: String = rest[..end].iter().collect();
            items.extend(posix(&name).ok_or(NotUnderstood::Unclosed)?);
            index += end + 4;
            continue;
        }
        if character == '\\' {
            index += 1;
            character = *text.get(index).ok_or(NotUnderstood::Unclosed)?;
        }
        let high = match (text.get(index + 1), text.get(index + 2)) {
            (Some('-'), Some(&high)) if high != ']' && high != '\\' && high != '[' => {
                index += 2;
                high
            }
            _ => character,
        };
        items.push((character, high));
        index += 1;
    }
}

fn posix(name: &str) -> Option<Vec<(char, char)>> {
    Some(match name {
        "alpha" => vec![('a', 'z'), ('A', 'Z'), ('\u{80}', char::MAX)],
        "digit" => vec![('0', '9')],
        "alnum" => vec![('a', 'z'), ('A', 'Z'), ('0', '9'), ('\u{80}', char::MAX)],
        "lower" => vec![('a', 'z'), ('\u{80}', char::MAX)],
        "upper" => vec![('A', 'Z'), ('\u{80}', char::MAX)],
        "word" => vec![('a', 'z'), ('A', 'Z'), ('0', '9'), ('_', '_')],
        "xdigit" => vec![('0', '9'), ('a', 'f'), ('A', 'F')],
        "punct" => vec![('!', '/'), (':', '@'), ('[', '`'), ('{', '~')],
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 24] = [
        "old", "older", "ui", "old-ui", "a-ui", "abc", "acc", "ac", "a", "b", "ab", "aab", "c",
        "abd", "bd", "cd", "1", "2", "b-old", ".hid", "a/x", "b/x", "a/b/c", "*",
    ];

    #[track_caller]
    fn check(pattern: &str, minimatch: &str, picomatch: &str) {
        for (flavour, expected) in
            [(Flavour::Minimatch, minimatch), (Flavour::Picomatch, picomatch)]
        {
            let glob = Glob::new(pattern, flavour).expect("a pattern that is understood");
            let matched = NAMES.iter().filter(|name| glob.is_match(&format!("packages/{name}")));
            let matched: Vec<&str> = matched.copied().collect();
            assert_eq!(matched.join(" "), expected, "{pattern} as {flavour:?}");
        }
    }

    #[track_caller]
    fn same(pattern: &str, expected: &str) {
        check(pattern, expected, expected);
    }

    /// Every answer is that of minimatch 10.2.5 and picomatch 2.3.1 and 4.0.7.
    #[test]
    fn extended_globs_match_what_the_managers_matchers_match() {
        let but_old = "older ui old-ui a-ui abc acc ac a b ab aab c abd bd cd 1 2 b-old";
        check("packages/!(old)", &format!("{but_old} *"), &format!("{but_old} .hid *"));
        same("packages/!(old)-ui", "a-ui");
        same("packages/a!(b)c", "acc ac");
        same("packages/@(a|b)", "a b");
        same("packages/+(a|b)", "a b ab aab");
        same("packages/?(a)b", "b ab");
        same("packages/*(a|b)", "a b ab aab");
        check("packages/!(a)/x", "b/x", "b/x");
        check("packages/*(.)hid", ".hid", ".hid");
        check("packages/(a|b)", "", "a b");
        check("packages/!(@(a|b)*|old*|ui)", "c cd 1 2 *", "c cd 1 2 .hid *");
    }

    #[test]
    fn braces_and_classes_match_as_everywhere() {
        same("packages/{a,b}", "a b");
        same("packages/{a,{b,c}d}", "a bd cd");
        same("packages/{1..3}", "1 2");
        same("packages/{c..a..1}", "a b c");
        same("packages/{a}", "");
        same("packages/[a-c]*", "a-ui abc acc ac a b ab aab c abd bd cd b-old");
        same("packages/[!ao]?", "ui bd cd");
        same("packages/[[:digit:]]", "1 2");
        same("packages/a?", "ac ab");
        same("packages/.*", ".hid");
        same("packages/\\*", "*");
        same(
            "./packages//*/",
            "old older ui old-ui a-ui abc acc ac a b ab aab c abd bd cd 1 2 b-old *",
        );
        same("packages/**/x", "a/x b/x");
        same("other/../packages/a", "a");
    }

    #[test]
    fn a_pattern_that_is_not_understood_is_refused_and_not_empty() {
        for (pattern, why) in [
            ("packages/[ab", NotUnderstood::Unclosed),
            ("packages/@(a|b", NotUnderstood::Unclosed),
            ("packages/a\\", NotUnderstood::Unclosed),
            ("packages/@(a/b|c)", NotUnderstood::SlashInGroup),
            ("packages/@(a|!(b))", NotUnderstood::Negations),
            ("!(a)!(a)!(a)!(a)", NotUnderstood::Negations),
            ("{1..100000}", NotUnderstood::TooLarge),
        ] {
            assert_eq!(Glob::new(pattern, Flavour::Minimatch), Err(why), "{pattern}");
        }
        let deep = format!("{}a{}", "@(".repeat(20), ")".repeat(20));
        assert_eq!(Glob::new(&deep, Flavour::Minimatch), Err(NotUnderstood::TooLarge));
        let wide = "{a,b}".repeat(40);
        assert_eq!(Glob::new(&wide, Flavour::Minimatch), Err(NotUnderstood::TooLarge));
    }

    #[test]
    fn what_the_tree_is_asked_for_holds_every_match() {
        let glob = Glob::new("apps/**/{ui,@(a|b)}", Flavour::Minimatch).expect("understood");
        assert_eq!(glob.coarse(), ["apps/**/*", "apps/**/ui"]);
        let glob = Glob::new("x\\*y/[z]", Flavour::Minimatch).expect("understood");
        assert_eq!(glob.coarse(), ["x[*]y/*"]);
        assert!(Glob::new("{a,b}/c", Flavour::Minimatch).expect("understood").is_literal());
    }
}
