//! Matching one alternative of a glob against the components of a path.
//!
//! Both levels have only one kind of repetition (`**` between components, `*` within one), so
//! going back to the last one is enough: no pattern takes more than the product of the lengths.

/// A glob without braces.
#[derive(Debug, Clone)]
pub struct Pattern {
    components: Vec<Component>,
}

#[derive(Debug, Clone)]
enum Component {
    /// `**`.
    Deep,
    /// No sign in it.
    Literal(Box<[u8]>),
    /// `*` alone.
    Any,
    /// Everything else.
    Wild(Box<[Token]>),
}

#[derive(Debug, Clone)]
enum Token {
    Byte(u8),
    One,
    Star,
    Class(Box<ByteSet>),
}

#[derive(Debug, Clone, Default)]
struct ByteSet([u64; 4]);

impl ByteSet {
    fn insert(&mut self, byte: u8) {
        self.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }

    fn contains(&self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6)] & (1 << (byte & 63)) != 0
    }

    fn negate(&mut self) {
        for word in &mut self.0 {
            *word = !*word;
        }
    }
}

/// Returns the length of the literal directory a brace-free glob starts with, without its slash.
pub fn literal_directory(text: &str) -> usize {
    let sign = text.find(['*', '?', '[', '\\', '{']).unwrap_or(text.len());
    text[..sign].rfind('/').unwrap_or(0)
}

/// The components of a pattern that may come next on the way down a tree.
#[derive(Debug, Clone, Default)]
pub struct Positions {
    at: Vec<usize>,
}

impl Positions {
    /// Returns whether a file below here may match.
    #[must_use]
    pub fn are_open(&self) -> bool {
        !self.at.is_empty()
    }
}

impl Pattern {
    /// Parses an alternative of a checked glob.
    pub fn parse(text: &str) -> Self {
        Self { components: text.split('/').map(Component::parse).collect() }
    }

    /// Returns whether the pattern matches a path, given as its components.
    pub fn matches(&self, path: &[&[u8]]) -> bool {
        let pattern = &self.components;
        let (mut p, mut c) = (0, 0);
        let mut back: Option<(usize, usize)> = None;
        loop {
            let fits = match (pattern.get(p), path.get(c)) {
                (None, None) => return true,
                // At the end, `**` is one component or more.
                (Some(Component::Deep), here) if p + 1 == pattern.len() => return here.is_some(),
                (Some(Component::Deep), _) => {
                    back = Some((p, c));
                    p += 1;
                    continue;
                }
                (Some(component), Some(name)) => component.matches(name),
                (None, Some(_)) | (Some(_), None) => false,
            };
            if fits {
                p += 1;
                c += 1;
            } else if let Some((deep, from)) = back
                && from < path.len()
            {
                back = Some((deep, from + 1));
                p = deep + 1;
                c = from + 1;
            } else {
                return false;
            }
        }
    }

    /// Returns where a walk over a tree begins.
    #[must_use]
    pub fn start(&self) -> Positions {
        self.reach([0])
    }

    /// Goes into a directory.
    #[must_use]
    pub fn step(&self, from: &Positions, directory: &[u8]) -> Positions {
        self.reach(from.at.iter().filter_map(|&at| match &self.components[at] {
            Component::Deep => Some(at),
            component => component.matches(directory).then_some(at + 1),
        }))
    }

    /// Adds the names of all that may match here or below; `false` where it may be any name.
    pub fn names<'a>(&'a self, here: &Positions, names: &mut Vec<&'a [u8]>) -> bool {
        here.at.iter().all(|&at| match &self.components[at] {
            Component::Literal(name) => {
                names.push(name);
                true
            }
            Component::Deep | Component::Any | Component::Wild(_) => false,
        })
    }

    /// Returns whether every file below here matches.
    #[must_use]
    pub fn matches_all_below(&self, here: &Positions) -> bool {
        let last = self.components.len() - 1;
        matches!(self.components[last], Component::Deep) && here.at.contains(&last)
    }

    /// Returns these positions and those behind a `**`, which may stand for no directory.
    fn reach(&self, from: impl IntoIterator<Item = usize>) -> Positions {
        let mut at: Vec<usize> = Vec::new();
        for mut here in from {
            while here < self.components.len() && !at.contains(&here) {
                at.push(here);
                if !matches!(self.components[here], Component::Deep) {
                    break;
                }
                here += 1;
            }
        }
        Positions { at }
    }

    /// Returns the bytes every match starts with.
    pub fn literal_start(&self) -> Vec<u8> {
        match self.components.first() {
            Some(Component::Literal(name)) => {
                let mut start = name.to_vec();
                if self.components.len() > 1 {
                    start.push(b'/');
                }
                start
            }
            Some(Component::Wild(tokens)) => leading(tokens.iter()),
            _ => Vec::new(),
        }
    }

    /// Returns the bytes every match ends with.
    pub fn literal_end(&self) -> Vec<u8> {
        match self.components.last() {
            Some(Component::Literal(name)) => name.to_vec(),
            Some(Component::Wild(tokens)) => {
                let mut end = leading(tokens.iter().rev());
                end.reverse();
                end
            }
            _ => Vec::new(),
        }
    }

    /// Returns the longest run of bytes that every match contains.
    pub fn literal_inside(&self) -> Vec<u8> {
        let mut longest: &[u8] = &[];
        let mut runs: Vec<Vec<u8>> = Vec::new();
        for component in &self.components {
            match component {
                Component::Literal(name) if name.len() > longest.len() => longest = name,
                Component::Wild(tokens) => {
                    let mut run = Vec::new();
                    for token in tokens {
                        match token {
                            Token::Byte(byte) => run.push(*byte),
                            _ => runs.push(std::mem::take(&mut run)),
                        }
                    }
                    runs.push(run);
                }
                _ => {}
            }
        }
        runs.push(longest.to_vec());
        runs.into_iter().max_by_key(Vec::len).unwrap_or_default()
    }
}

fn leading<'a>(tokens: impl Iterator<Item = &'a Token>) -> Vec<u8> {
    tokens
        .map_while(|token| match token {
            Token::Byte(byte) => Some(*byte),
            _ => None,
        })
        .collect()
}

impl Component {
    fn parse(text: &str) -> Self {
        match text {
            "**" => return Self::Deep,
            "*" => return Self::Any,
            _ if !text.contains(['*', '?', '[', '\\']) => {
                return Self::Literal(text.as_bytes().into());
            }
            _ => {}
        }
        let bytes = text.as_bytes();
        let mut tokens = Vec::with_capacity(bytes.len());
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            at += 1;
            tokens.push(match byte {
                b'*' => Token::Star,
                b'?' => Token::One,
                b'[' => {
                    let (set, end) = class(bytes, at);
                    at = end;
                    Token::Class(Box::new(set))
                }
                b'\\' => {
                    let escaped = bytes.get(at).copied().unwrap_or(b'\\');
                    at += 1;
                    Token::Byte(escaped)
                }
                byte => Token::Byte(byte),
            });
        }
        Self::Wild(tokens.into())
    }

    fn matches(&self, name: &[u8]) -> bool {
        match self {
            Self::Deep | Self::Any => true,
            Self::Literal(literal) => **literal == *name,
            Self::Wild(tokens) => wild(tokens, name),
        }
    }
}

/// Reads the class whose `[` is just before `at`; returns its set and where it ends.
fn class(bytes: &[u8], mut at: usize) -> (ByteSet, usize) {
    let mut set = ByteSet::default();
    let negated = matches!(bytes.get(at), Some(b'!' | b'^'));
    at += usize::from(negated);
    let first = at;
    let mut from: Option<u8> = None;
    let mut last: Option<u8> = None;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match byte {
            b']' if at - 1 > first => break,
            b'-' if at - 1 > first && from.is_none() => from = last,
            _ => {
                for member in from.take().unwrap_or(byte)..=byte {
                    set.insert(member);
                }
                last = Some(byte);
            }
        }
    }
    if from.is_some() {
        set.insert(b'-');
    }
    if negated {
        set.negate();
    }
    (set, at)
}

fn wild(tokens: &[Token], name: &[u8]) -> bool {
    let (mut t, mut n) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    loop {
        let fits = match (tokens.get(t), name.get(n)) {
            (None, None) => return true,
            (Some(Token::Star), _) => {
                back = Some((t, n));
                t += 1;
                continue;
            }
            (Some(Token::Byte(byte)), Some(here)) => byte == here,
            (Some(Token::One), Some(_)) => true,
            (Some(Token::Class(set)), Some(here)) => set.contains(*here),
            (None, Some(_)) | (Some(_), None) => false,
        };
        if fits {
            t += 1;
            n += 1;
        } else if let Some((star, from)) = back
            && from < name.len()
        {
            back = Some((star, from + 1));
            t = star + 1;
            n = from + 1;
        } else {
            return false;
        }
    }
}
