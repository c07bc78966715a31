//! The ways in which output is read in search of secrets. Each makes another text of it and knows which
//! bytes of the output every byte of that text came from.
//!
//! A reading looks at few bytes at a time and never at what came long before, so that it can begin anywhere: quotes
//! are dropped, not paired. The same is done to what is sought ([`Reading::canonical`]).

use memchr::{memchr, memchr2, memchr3};

use super::{folded::Folded, needles::Needles};

/// A way to read output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reading {
    /// As it is.
    AsItIs,
    /// Without line breaks and the indentation behind them: base64 and hex over several lines.
    Unfolded,
    /// Without quotes and backslashes, numbers behind these decoded: what shells and writers of strings
    /// (JSON, also in JSON, C, Go, Python) make of a value.
    Unquoted,
    /// With `%XX` decoded and a space for `+`, escaped or not.
    UrlDecoded,
    /// With `&name;` and `&#number;` decoded.
    EntitiesDecoded,
}

/// No escape of any kind is longer, but for a row of backslashes.
const LONGEST_ESCAPE: usize = 12;
/// A longer row of backslashes is none of an escape.
const MOST_BACKSLASHES: usize = 64;
/// What leaves out more bytes than this at one place is no writer of a secret: without an end to it, output that is left out
/// would be held back for ever.
pub(super) const MOST_LEFT_OUT: usize = 256;

impl Reading {
    /// Returns its name for supervisors that are elsewhere (`../supervise/shim/redact.pl`).
    pub(super) fn letter(self) -> Option<char> {
        match self {
            Self::AsItIs => None,
            Self::Unfolded => Some('L'),
            Self::Unquoted => Some('Q'),
            Self::UrlDecoded => Some('P'),
            Self::EntitiesDecoded => Some('E'),
        }
    }

    /// Returns what is sought in this reading for a value.
    pub(super) fn canonical(self, value: &[u8]) -> Vec<u8> {
        match self {
            Self::AsItIs | Self::Unfolded | Self::EntitiesDecoded => value.to_vec(),
            Self::UrlDecoded => value.iter().map(|&b| if b == b'+' { b' ' } else { b }).collect(),
            Self::Unquoted => {
                let mut view = Decoded::new(value);
                view.unquote(true);
                view.bytes
            }
        }
    }

    /// Reads output in search of needles; `None` when that is the same as reading it as it is.
    pub(super) fn read<'a>(
        self,
        text: &'a [u8],
        needles: &Needles,
        is_last: bool,
    ) -> Option<ReadText<'a>> {
        match self {
            Self::AsItIs => return Some(ReadText::AsItIs(text)),
            Self::Unfolded => {
                if let Some(folded) = Folded::new(text, needles, is_last) {
                    return Some(ReadText::Folded(folded));
                }
            }
            Self::Unquoted => {
                memchr3(b'\'', b'"', b'\\', text).or_else(|| memchr(b'$', text))?;
            }
            Self::UrlDecoded => {
                memchr2(b'%', b'+', text)?;
            }
            Self::EntitiesDecoded => {
                memchr(b'&', text)?;
            }
        }
        Some(ReadText::Decoded(self.decode(text, is_last)))
    }

    /// Writes the text of this reading out.
    pub(super) fn decode(self, text: &[u8], is_last: bool) -> Decoded<'_> {
        let mut view = Decoded::new(text);
        match self {
            Self::AsItIs => {
                for (at, &byte) in text.iter().enumerate() {
                    view.put(byte, at, at + 1);
                }
            }
            Self::Unfolded => view.unfold(is_last),
            Self::Unquoted => view.unquote(is_last),
            Self::UrlDecoded => view.decode_url(is_last),
            Self::EntitiesDecoded => view.decode_entities(is_last),
        }
        view
    }
}

/// Output in one reading.
#[derive(Debug)]
pub(super) enum ReadText<'a> {
    AsItIs(&'a [u8]),
    Folded(Folded<'a>),
    Decoded(Decoded<'a>),
}

/// Output that was decoded.
#[derive(Debug)]
pub(super) struct Decoded<'a> {
    text: &'a [u8],
    bytes: Vec<u8>,
    /// Where in the text each of the bytes comes from.
    from: Vec<(u32, u32)>,
    /// Where an escape begins that the text ends in.
    torn: Option<usize>,
    /// How many bytes were left out since the last one that was not.
    left_out: usize,
}

impl ReadText<'_> {
    /// Adds the ranges of the text that needles were found in, and returns from where on more text may find
    /// another one.
    pub(super) fn search(
        &self,
        needles: &Needles,
        length: usize,
        is_last: bool,
        found: &mut Vec<(usize, usize)>,
    ) -> usize {
        let bytes: &[u8] = match self {
            ReadText::AsItIs(text) => text,
            ReadText::Folded(folded) => folded.text,
            ReadText::Decoded(view) => &view.bytes,
        };
        let mut at = 0;
        while let Some(start) = needles.candidate(bytes, at) {
            at = start + 1;
            if let Some(length) = needles.longest_at(&bytes[start..]) {
                let range = match self {
                    ReadText::AsItIs(_) | ReadText::Folded(_) => (start, start + length),
                    ReadText::Decoded(view) => view.range(start, start + length),
                };
                match found.last_mut() {
                    // The same run, so far.
                    Some(last) if last.0 <= range.0 && range.0 <= last.1 => {
                        last.1 = last.1.max(range.1)
                    }
                    _ => found.push(range),
                }
            }
        }
        if is_last {
            return length;
        }
        match self {
            ReadText::AsItIs(_) => needles.undecided(bytes),
            ReadText::Folded(folded) => folded.undecided(needles),
            ReadText::Decoded(view) => {
                let open =
                    view.from.get(needles.undecided(bytes)).map(|&(start, _)| start as usize);
                open.unwrap_or(length).min(view.torn.unwrap_or(length))
            }
        }
    }

    /// Returns `at`, or where the escape begins that it is inside of.
    pub(super) fn boundary(&self, at: usize) -> usize {
        let view = match self {
            ReadText::AsItIs(_) => return at,
            ReadText::Folded(folded) => return folded.torn.unwrap_or(at).min(at),
            ReadText::Decoded(view) => view,
        };
        if let Some(torn) = view.torn.filter(|&torn| torn < at) {
            return torn;
        }
        let behind = view.from.partition_point(|&(start, _)| (start as usize) < at);
        match behind.checked_sub(1).map(|index| view.from[index]) {
            Some((start, end)) if (end as usize) > at => start as usize,
            _ => at,
        }
    }
}

impl<'a> Decoded<'a> {
    fn new(text: &'a [u8]) -> Self {
        let bytes = Vec::with_capacity(text.len());
        Self { text, bytes, from: Vec::with_capacity(text.len()), torn: None, left_out: 0 }
    }

    fn range(&self, start: usize, end: usize) -> (usize, usize) {
        (self.from[start].0 as usize, self.from[end - 1].1 as usize)
    }

    /// Leaves out the bytes from `start` to `end`; in the place of too many stands one that no needle has.
    fn leave_out(&mut self, start: usize, end: usize) {
        self.left_out += end - start;
        if self.left_out > MOST_LEFT_OUT {
            self.put(b'\\', start, end);
        }
    }

    fn put(&mut self, byte: u8, start: usize, end: usize) {
        self.left_out = 0;
        self.bytes.push(byte);
        let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        self.from.push((place(start), place(end)));
    }

    /// Leaves out line breaks, also written as `\n`, with the indentation behind them.
    fn unfold(&mut self, is_last: bool) {
        let (text, mut at) = (self.text, 0);
        while at < text.len() {
            match text[at] {
                b'\n' | b'\r' => {
                    let start = at;
                    at += 1;
                    while at < text.len() && matches!(text[at], b' ' | b'\t') {
                        at += 1;
                    }
                    self.leave_out(start, at);
                }
                b'\\' if at + 1 == text.len() && !is_last => {
                    self.torn = Some(at);
                    return;
                }
                b'\\' if text.get(at + 1).is_some_and(|next| matches!(next, b'n' | b'r')) => {
                    self.leave_out(at, at + 2);
                    at += 2;
                }
                byte => {
                    self.put(byte, at, at + 1);
                    at += 1;
                }
            }
        }
    }

    fn decode_url(&mut self, is_last: bool) {
        let (text, mut at) = (self.text, 0);
        while at < text.len() {
            // A plus is a space or itself: in a value, as it is and escaped, both count as a space.
            let plain = |byte| if byte == b'+' { b' ' } else { byte };
            if text[at] == b'%' {
                if let Some(code) = number(text.get(at + 1..at + 3), 16) {
                    self.put(plain(code as u8), at, at + 3);
                    at += 3;
                    continue;
                }
                if !is_last
                    && at + 3 > text.len()
                    && text[at + 1..].iter().all(u8::is_ascii_hexdigit)
                {
                    self.torn = Some(at);
                    return;
                }
            }
            self.put(plain(text[at]), at, at + 1);
            at += 1;
        }
    }

    fn decode_entities(&mut self, is_last: bool) {
        let (text, mut at) = (self.text, 0);
        while at < text.len() {
            if text[at] == b'&' {
                let window = &text[at + 1..text.len().min(at + LONGEST_ESCAPE)];
                let inside = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'#';
                let name = window.iter().take_while(|&byte| inside(byte)).count();
                if window.get(name) == Some(&b';') {
                    if let Some(c) = entity(&window[..name]) {
                        let end = at + name + 2;
                        for &byte in c.encode_utf8(&mut [0; 4]).as_bytes() {
                            self.put(byte, at, end);
                        }
                        at = end;
                        continue;
                    }
                } else if !is_last && name == window.len() && name + 1 < LONGEST_ESCAPE {
                    self.torn = Some(at);
                    return;
                }
            }
            self.put(text[at], at, at + 1);
            at += 1;
        }
    }

    /// Drops quotes, dollars (of `$'…'`) and backslashes, decodes numbers behind a backslash, and writes control characters as
    /// the letters that stand for them.
    fn unquote(&mut self, is_last: bool) {
        let (text, mut at) = (self.text, 0);
        while at < text.len() {
            let start = at;
            let most = text.len().min(at + MOST_BACKSLASHES);
            while at < most && text[at] == b'\\' {
                at += 1;
            }
            if at > start {
                match escape(&text[at..], is_last) {
                    Escape::Torn => {
                        self.torn = Some(start);
                        return;
                    }
                    Escape::Code(c, length) => {
                        for &byte in c.encode_utf8(&mut [0; 4]).as_bytes() {
                            self.put_plain(byte, start, at + length);
                        }
                        at += length;
                        continue;
                    }
                    Escape::Byte(byte, length) => {
                        self.put_plain(byte, start, at + length);
                        at += length;
                        continue;
                    }
                    Escape::None if at == text.len() => return,
                    Escape::None => {}
                }
            }
            match text[at] {
                b'E' if at > start => self.put(b'e', start, at + 1),
                byte => self.put_plain(byte, start, at + 1),
            }
            at += 1;
        }
    }

    fn put_plain(&mut self, byte: u8, start: usize, end: usize) {
        let byte = match byte {
            b'\'' | b'"' | b'\\' | b'$' => return self.leave_out(start, end),
            b'\n' => b'n',
            b'\t' => b't',
            b'\r' => b'r',
            0x07 => b'a',
            0x08 => b'b',
            0x0b => b'v',
            0x0c => b'f',
            0x1b => b'e',
            byte => byte,
        };
        self.put(byte, start, end);
    }
}

/// What stands behind a backslash.
enum Escape {
    /// No number.
    None,
    /// The text ends in it.
    Torn,
    /// A character, and how many bytes say it.
    Code(char, usize),
    /// A byte, likewise.
    Byte(u8, usize),
}

fn escape(text: &[u8], is_last: bool) -> Escape {
    // Whether `length` bytes would be hexadecimal (or octal) digits, if only there were more text.
    let torn = |from: usize, length: usize, base: u32| {
        !is_last
            && text.len() < from + length
            && text[from.min(text.len())..].iter().all(|&byte| char::from(byte).is_digit(base))
    };
    match text.first() {
        None if is_last => Escape::None,
        None => Escape::Torn,
        Some(b'u') if text.get(1) == Some(&b'{') => {
            let digits = text[2..].iter().take(6).take_while(|b| b.is_ascii_hexdigit()).count();
            match text.get(2 + digits) {
                Some(b'}') => match number(text.get(2..2 + digits), 16).and_then(char::from_u32) {
                    Some(c) => Escape::Code(c, 3 + digits),
                    None => Escape::None,
                },
                None if !is_last => Escape::Torn,
                _ => Escape::None,
            }
        }
        Some(b'u') if torn(1, 4, 16) => Escape::Torn,
        Some(b'u') => match number(text.get(1..5), 16) {
            Some(high @ 0xd800..0xdc00) => surrogates(high, &text[5..], is_last),
            Some(code) => char::from_u32(code).map_or(Escape::None, |c| Escape::Code(c, 5)),
            None => Escape::None,
        },
        Some(b'U') if torn(1, 8, 16) => Escape::Torn,
        Some(b'U') => match number(text.get(1..9), 16).and_then(char::from_u32) {
            Some(c) => Escape::Code(c, 9),
            None => Escape::None,
        },
        Some(b'x') if torn(1, 2, 16) => Escape::Torn,
        Some(b'x') => match number(text.get(1..3), 16) {
            Some(code) => Escape::Byte(code as u8, 3),
            None => Escape::None,
        },
        // zsh's control characters.
        Some(b'C') if !is_last && text.len() < 3 && matches!(text.get(1), None | Some(b'-')) => {
            Escape::Torn
        }
        Some(b'C') if text.get(1) == Some(&b'-') => match text.get(2) {
            Some(b'?') => Escape::Byte(0x7f, 3),
            Some(letter) => Escape::Byte(letter & 0x1f, 3),
            None => Escape::None,
        },
        Some(b'M') => meta(text, is_last),
        Some(b'0'..=b'3') if torn(0, 3, 8) => Escape::Torn,
        Some(b'0'..=b'3') => match number(text.get(0..3), 8) {
            Some(code) => Escape::Byte(code as u8, 3),
            None => Escape::None,
        },
        Some(_) => Escape::None,
    }
}

/// A byte beyond ASCII, as zsh writes it where its locale has none: `M-`, and how it would write the byte without its
/// highest bit. A backslash is not quoted there.
fn meta(text: &[u8], is_last: bool) -> Escape {
    let Some(rest) = text.strip_prefix(b"M-") else {
        return if text.len() < 2 && !is_last { Escape::Torn } else { Escape::None };
    };
    let slashes = rest.iter().take(MOST_BACKSLASHES).take_while(|&&byte| byte == b'\\').count();
    let (at, high) = (2 + slashes, |low: u8, length| Escape::Byte(low | 0x80, length));
    match &rest[slashes..] {
        [] if !is_last => Escape::Torn,
        [b' '..=b'~', ..] if slashes == 0 => high(rest[0], 3),
        _ if slashes == 0 => Escape::None,
        [b'C'] | [b'C', b'-'] if !is_last => Escape::Torn,
        [b'C', b'-', b'?', ..] => high(0x7f, at + 3),
        [b'C', b'-', letter, ..] => high(letter & 0x1f, at + 3),
        [b't', ..] => high(b'\t', at + 1),
        [b'n', ..] => high(b'\n', at + 1),
        // Another escape may follow.
        _ => high(b'\\', 2 + (slashes - 1).max(1)),
    }
}

/// The second half of a character beyond 16 bits.
fn surrogates(high: u32, text: &[u8], is_last: bool) -> Escape {
    let slashes = text.iter().take(MOST_BACKSLASHES).take_while(|&&byte| byte == b'\\').count();
    let rest = &text[slashes..];
    let is_torn = !is_last
        && rest.len() < 5
        && rest
            .iter()
            .enumerate()
            .all(|(at, &b)| if at == 0 { b == b'u' } else { b.is_ascii_hexdigit() });
    if is_torn {
        return Escape::Torn;
    }
    match number(rest.get(1..5), 16) {
        Some(low @ 0xdc00..0xe000) if slashes > 0 && rest[0] == b'u' => {
            let code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
            char::from_u32(code).map_or(Escape::None, |c| Escape::Code(c, 5 + slashes + 5))
        }
        _ => Escape::None,
    }
}

fn number(digits: Option<&[u8]>, base: u32) -> Option<u32> {
    let digits = digits.filter(|digits| !digits.is_empty())?;
    digits.iter().try_fold(0_u32, |value, &byte| {
        value.checked_mul(base)?.checked_add(char::from(byte).to_digit(base)?)
    })
}

fn entity(name: &[u8]) -> Option<char> {
    match name {
        b"amp" => Some('&'),
        b"lt" => Some('<'),
        b"gt" => Some('>'),
        b"quot" => Some('"'),
        b"apos" => Some('\''),
        [b'#', b'x' | b'X', digits @ ..] => number(Some(digits), 16).and_then(char::from_u32),
        [b'#', digits @ ..] => number(Some(digits), 10).and_then(char::from_u32),
        _ => None,
    }
}
