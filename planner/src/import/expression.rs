//! The text of a GitHub expression as a tree: lexer and parser, nothing evaluated.
//!
//! Grammar and operators: GitHub's documentation, "Evaluate expressions in workflows and actions".

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expression {
    /// `null`.
    Null,
    /// `true`, `false`.
    Bool(bool),
    /// A number.
    Number(f64),
    /// `'…'`.
    Text(String),
    /// The name of a context.
    Context(String),
    /// `of.name`; `*` for all.
    Field(Box<Self>, String),
    /// `of[index]`.
    At(Box<Self>, Box<Self>),
    /// A function, its name in lower case.
    Call(String, Vec<Self>),
    /// `!of`.
    Not(Box<Self>),
    /// Two operands.
    Both(Operator, Box<Self>, Box<Self>),
}

/// What stands between two operands, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Operator {
    fn strength(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And => 2,
            Self::Equal | Self::NotEqual => 3,
            _ => 4,
        }
    }
}

/// Deeper than any expression that GitHub takes.
const DEEPEST: usize = 60;

/// Parses an expression without `${{ }}`; nothing when it is none.
pub(super) fn parse(text: &str) -> Option<Expression> {
    let tokens = tokens(text)?;
    let mut parser = Parser { tokens: &tokens, at: 0, depth: 0 };
    let found = parser.binary(0)?;
    (parser.at == tokens.len()).then_some(found)
}

/// Whether an expression calls a status function: then success is not implied.
pub(super) fn asks_status(expression: &Expression) -> bool {
    match expression {
        Expression::Call(name, arguments) => {
            ["always", "success", "failure", "cancelled"].contains(&name.as_str())
                || arguments.iter().any(asks_status)
        }
        Expression::Field(of, _) | Expression::Not(of) => asks_status(of),
        Expression::At(a, b) | Expression::Both(_, a, b) => asks_status(a) || asks_status(b),
        _ => false,
    }
}

/// The names in `context.name.name`; nothing when it is anything else.
pub(super) fn path(expression: &Expression) -> Option<Vec<String>> {
    match expression {
        Expression::Context(name) => Some(vec![name.clone()]),
        Expression::Field(of, name) => Some([path(of)?, vec![name.clone()]].concat()),
        Expression::At(of, index) => match index.as_ref() {
            Expression::Text(name) => Some([path(of)?, vec![name.clone()]].concat()),
            _ => None,
        },
        _ => None,
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Number(f64),
    Text(String),
    Sign(&'static str),
}

fn tokens(text: &str) -> Option<Vec<Token>> {
    const SIGNS: [&str; 16] =
        ["==", "!=", "<=", ">=", "&&", "||", "<", ">", "!", "(", ")", "[", "]", ",", ".", "*"];
    let mut rest = text.trim_start();
    let mut tokens = Vec::new();
    while let Some(first) = rest.chars().next() {
        if first == '\'' {
            let mut value = String::new();
            let mut letters = rest[1..].char_indices();
            let end = loop {
                let (at, letter) = letters.next()?;
                if letter != '\'' {
                    value.push(letter);
                } else if rest[1 + at + 1..].starts_with('\'') {
                    value.push('\'');
                    letters.next();
                } else {
                    break 1 + at + 1;
                }
            };
            tokens.push(Token::Text(value));
            rest = rest[end..].trim_start();
            continue;
        }
        let after_dot = matches!(tokens.last(), Some(Token::Sign(".")));
        let signed = "+-".contains(first) && rest[1..].starts_with(|c: char| c.is_ascii_digit());
        if (first.is_ascii_digit() || signed) && !after_dot {
            let end = rest[1..]
                .find(|c: char| !c.is_ascii_alphanumeric() && c != '.')
                .map_or(rest.len(), |end| end + 1);
            tokens.push(Token::Number(number(&rest[..end])?));
            rest = rest[end..].trim_start();
            continue;
        }
        let word = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
        if word(first) && first != '-' {
            let end = rest.find(|c: char| !word(c)).unwrap_or(rest.len());
            tokens.push(Token::Word(rest[..end].to_owned()));
            rest = rest[end..].trim_start();
            continue;
        }
        let sign = SIGNS.into_iter().find(|sign| rest.starts_with(sign))?;
        tokens.push(Token::Sign(sign));
        rest = rest[sign.len()..].trim_start();
    }
    Some(tokens)
}

/// A number as GitHub reads it; the empty text is none here.
pub(super) fn number(text: &str) -> Option<f64> {
    if let Some(digits) = text.strip_prefix("0x") {
        return u32::from_str_radix(digits, 16).ok().map(f64::from);
    }
    text.parse().ok().filter(|_| !text.contains(|c: char| c.is_ascii_alphabetic() && c != 'e'))
}

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn take(&mut self, sign: &str) -> bool {
        let there = matches!(self.tokens.get(self.at), Some(Token::Sign(it)) if *it == sign);
        self.at += usize::from(there);
        there
    }

    fn operator(&self) -> Option<Operator> {
        let Some(Token::Sign(sign)) = self.tokens.get(self.at) else { return None };
        Some(match *sign {
            "||" => Operator::Or,
            "&&" => Operator::And,
            "==" => Operator::Equal,
            "!=" => Operator::NotEqual,
            "<" => Operator::Less,
            "<=" => Operator::LessOrEqual,
            ">" => Operator::Greater,
            ">=" => Operator::GreaterOrEqual,
            _ => return None,
        })
    }

    fn binary(&mut self, weakest: u8) -> Option<Expression> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return None;
        }
        let mut left = self.unary()?;
        while let Some(operator) = self.operator().filter(|it| it.strength() > weakest) {
            self.at += 1;
            let right = self.binary(operator.strength())?;
            left = Expression::Both(operator, Box::new(left), Box::new(right));
        }
        self.depth -= 1;
        Some(left)
    }

    fn unary(&mut self) -> Option<Expression> {
        let mut negations = 0_usize;
        while self.take("!") {
            negations += 1;
        }
        let mut found = self.primary()?;
        for _ in 0..negations.min(2 - negations % 2) {
            found = Expression::Not(Box::new(found));
        }
        Some(found)
    }

    fn primary(&mut self) -> Option<Expression> {
        let mut found = if self.take("(") {
            let inside = self.binary(0)?;
            self.take(")").then_some(inside)?
        } else {
            let token = self.tokens.get(self.at)?.clone();
            self.at += 1;
            match token {
                Token::Text(text) => Expression::Text(text),
                Token::Number(number) => Expression::Number(number),
                Token::Word(word) if self.take("(") => {
                    Expression::Call(word.to_ascii_lowercase(), self.arguments()?)
                }
                Token::Word(word) => match word.as_str() {
                    "true" => Expression::Bool(true),
                    "false" => Expression::Bool(false),
                    "null" => Expression::Null,
                    _ => Expression::Context(word.to_ascii_lowercase()),
                },
                Token::Sign(_) => return None,
            }
        };
        loop {
            if self.take(".") {
                let name = match self.tokens.get(self.at)? {
                    Token::Word(word) => word.clone(),
                    Token::Sign("*") => "*".to_owned(),
                    _ => return None,
                };
                self.at += 1;
                found = Expression::Field(Box::new(found), name);
            } else if self.take("[") {
                if self.take("*") {
                    found = Expression::Field(Box::new(found), "*".to_owned());
                } else {
                    let index = self.binary(0)?;
                    found = Expression::At(Box::new(found), Box::new(index));
                }
                self.take("]").then_some(())?;
            } else {
                return Some(found);
            }
        }
    }

    fn arguments(&mut self) -> Option<Vec<Expression>> {
        let mut arguments = Vec::new();
        if self.take(")") {
            return Some(arguments);
        }
        loop {
            arguments.push(self.binary(0)?);
            if self.take(")") {
                return Some(arguments);
            }
            self.take(",").then_some(())?;
        }
    }
}

impl std::fmt::Display for Expression {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Null => write!(out, "null"),
            Self::Bool(value) => write!(out, "{value}"),
            Self::Number(value) => write!(out, "{value}"),
            Self::Text(text) => write!(out, "'{}'", text.replace('\'', "''")),
            Self::Context(name) => write!(out, "{name}"),
            Self::Field(of, name) => write!(out, "{of}.{name}"),
            Self::At(of, index) => write!(out, "{of}[{index}]"),
            Self::Call(name, arguments) => {
                let arguments: Vec<String> = arguments.iter().map(Self::to_string).collect();
                write!(out, "{name}({})", arguments.join(", "))
            }
            Self::Not(of) => match **of {
                Self::Both(..) => write!(out, "!({of})"),
                _ => write!(out, "!{of}"),
            },
            Self::Both(operator, left, right) => {
                let sign = match operator {
                    Operator::Or => "||",
                    Operator::And => "&&",
                    Operator::Equal => "==",
                    Operator::NotEqual => "!=",
                    Operator::Less => "<",
                    Operator::LessOrEqual => "<=",
                    Operator::Greater => ">",
                    Operator::GreaterOrEqual => ">=",
                };
                write!(out, "{left} {sign} {right}")
            }
        }
    }
}
