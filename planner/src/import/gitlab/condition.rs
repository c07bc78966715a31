//! `if` of GitLab's rules, as far as an event decides it.
//!
//! Grammar: GitLab's "CI/CD job rules", `rules:if`: variables, texts, `null`, `==`, `!=`, `=~`,
//! `!~`, `&&`, `||`, parentheses. What an event does not decide is unknown, and says what.

use crate::import::formula::Formula;

/// What starts a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// A merge request.
    MergeRequest,
    /// A push to a branch that is not the default one.
    Branch,
    /// A push to the default branch.
    DefaultBranch,
    Schedule,
    Tag,
}

#[derive(Debug, Clone, PartialEq)]
enum Operand {
    Null,
    Text(String),
    /// The name of the default branch.
    Default,
    /// Some text, and not the default branch's name where that is said.
    Some {
        default: Option<bool>,
    },
    Unknown,
}

/// Evaluates a condition; what cannot be parsed is unknown.
pub(super) fn evaluate(text: &str, event: Event) -> Formula {
    let unknown = || Formula::Maybe(format!("`{}`", text.trim()));
    let Some(tokens) = tokens(text) else { return unknown() };
    let mut parser = Parser { tokens: &tokens, at: 0, depth: 0, event };
    match parser.any() {
        Some(found) if parser.at == tokens.len() => found,
        _ => unknown(),
    }
}

fn variable(name: &str, event: Event) -> Operand {
    let request = event == Event::MergeRequest;
    match name {
        "CI_PIPELINE_SOURCE" => Operand::Text(
            match event {
                Event::MergeRequest => "merge_request_event",
                Event::Schedule => "schedule",
                Event::Branch | Event::DefaultBranch | Event::Tag => "push",
            }
            .to_owned(),
        ),
        "CI_DEFAULT_BRANCH" => Operand::Default,
        "CI_COMMIT_BRANCH" => match event {
            Event::MergeRequest | Event::Tag => Operand::Null,
            Event::DefaultBranch => Operand::Default,
            Event::Branch => Operand::Some { default: Some(false) },
            Event::Schedule => Operand::Some { default: None },
        },
        "CI_COMMIT_REF_NAME" => match event {
            Event::DefaultBranch => Operand::Default,
            Event::Branch => Operand::Some { default: Some(false) },
            _ => Operand::Some { default: None },
        },
        "CI_COMMIT_TAG" => {
            if event == Event::Tag {
                Operand::Some { default: None }
            } else {
                Operand::Null
            }
        }
        "CI_MERGE_REQUEST_IID"
        | "CI_MERGE_REQUEST_ID"
        | "CI_MERGE_REQUEST_TARGET_BRANCH_NAME"
        | "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME"
        | "CI_MERGE_REQUEST_TITLE"
            if request =>
        {
            Operand::Some { default: None }
        }
        name if name.starts_with("CI_MERGE_REQUEST_") && !request => Operand::Null,
        "CI" | "GITLAB_CI" => Operand::Text("true".to_owned()),
        _ => Operand::Unknown,
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Variable(String),
    Text(String),
    Regex,
    Null,
    Sign(&'static str),
}

fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut rest = text.trim_start();
    let mut tokens = Vec::new();
    while let Some(first) = rest.chars().next() {
        if let Some(quoted) = rest.strip_prefix(['"', '\'']) {
            let end = quoted.find(first)?;
            tokens.push(Token::Text(quoted[..end].to_owned()));
            rest = &quoted[end + 1..];
        } else if let Some(name) = rest.strip_prefix('$') {
            let braced = name.strip_prefix('{');
            let name = braced.unwrap_or(name);
            let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let end = name.find(|c| !word(c)).unwrap_or(name.len());
            tokens.push(Token::Variable(name[..end].to_owned()));
            rest = &name[end..];
            if braced.is_some() {
                rest = rest.strip_prefix('}')?;
            }
        } else if matches!(tokens.last(), Some(Token::Sign("=~" | "!~"))) && first == '/' {
            let mut escaped = false;
            let end = rest[1..].find(|c| {
                let ends = c == '/' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            })?;
            rest = rest[end + 2..].trim_start_matches(['i', 'm', 'u', 's', 'U']);
            tokens.push(Token::Regex);
        } else if let Some(behind) = rest.strip_prefix("null") {
            tokens.push(Token::Null);
            rest = behind;
        } else {
            let signs = ["==", "!=", "=~", "!~", "&&", "||", "(", ")"];
            let sign = signs.into_iter().find(|sign| rest.starts_with(sign))?;
            tokens.push(Token::Sign(sign));
            rest = &rest[sign.len()..];
        }
        rest = rest.trim_start();
    }
    Some(tokens)
}

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    depth: usize,
    event: Event,
}

impl Parser<'_> {
    fn take(&mut self, sign: &str) -> bool {
        let there = matches!(self.tokens.get(self.at), Some(Token::Sign(it)) if *it == sign);
        self.at += usize::from(there);
        there
    }

    fn any(&mut self) -> Option<Formula> {
        self.depth += 1;
        if self.depth > 60 {
            return None;
        }
        let mut found = self.all()?;
        while self.take("||") {
            found = found.or(self.all()?);
        }
        self.depth -= 1;
        Some(found)
    }

    fn all(&mut self) -> Option<Formula> {
        let mut found = self.one()?;
        while self.take("&&") {
            found = found.and(self.one()?);
        }
        Some(found)
    }

    fn one(&mut self) -> Option<Formula> {
        if self.take("(") {
            let inside = self.any()?;
            return self.take(")").then_some(inside);
        }
        let start = self.at;
        let left = self.operand()?;
        for (sign, wanted) in [("==", true), ("!=", false)] {
            if self.take(sign) {
                let right = self.operand()?;
                return Some(match equal(&left, &right) {
                    Some(answer) => Formula::Is(answer == wanted),
                    None => self.unknown(start),
                });
            }
        }
        for (sign, wanted) in [("=~", true), ("!~", false)] {
            if self.take(sign) {
                self.at += 1;
                self.tokens.get(self.at - 1)?;
                // Nothing is like a pattern when there is nothing.
                return Some(match left {
                    Operand::Null => Formula::Is(!wanted),
                    _ => self.unknown(start),
                });
            }
        }
        Some(match left {
            Operand::Null => Formula::Is(false),
            Operand::Text(text) => Formula::Is(!text.is_empty()),
            Operand::Default | Operand::Some { .. } => Formula::Is(true),
            Operand::Unknown => self.unknown(start),
        })
    }

    fn operand(&mut self) -> Option<Operand> {
        let token = self.tokens.get(self.at)?;
        self.at += 1;
        Some(match token {
            Token::Variable(name) => variable(name, self.event),
            Token::Text(text) if text.contains('$') => Operand::Unknown,
            Token::Text(text) => Operand::Text(text.clone()),
            Token::Null => Operand::Null,
            Token::Regex | Token::Sign(_) => return None,
        })
    }

    fn unknown(&self, start: usize) -> Formula {
        let shown = self.tokens[start..self.at].iter().map(|token| match token {
            Token::Variable(name) => format!("${name}"),
            Token::Text(text) => format!("\"{text}\""),
            Token::Regex => "/…/".to_owned(),
            Token::Null => "null".to_owned(),
            Token::Sign(sign) => (*sign).to_owned(),
        });
        Formula::Maybe(format!("`{}`", shown.collect::<Vec<_>>().join(" ")))
    }
}

fn equal(left: &Operand, right: &Operand) -> Option<bool> {
    // The names that default branches have.
    let default_like = |text: &str| ["main", "master"].contains(&text);
    match (left, right) {
        (Operand::Unknown, _) | (_, Operand::Unknown) => None,
        (Operand::Null, Operand::Null) | (Operand::Default, Operand::Default) => Some(true),
        (Operand::Text(left), Operand::Text(right)) => Some(left == right),
        (Operand::Null, Operand::Some { .. } | Operand::Default)
        | (Operand::Some { .. } | Operand::Default, Operand::Null) => Some(false),
        (Operand::Null, Operand::Text(_)) | (Operand::Text(_), Operand::Null) => Some(false),
        (Operand::Default, Operand::Some { default })
        | (Operand::Some { default }, Operand::Default) => *default,
        (Operand::Some { default: Some(false) }, Operand::Text(text))
        | (Operand::Text(text), Operand::Some { default: Some(false) })
            if default_like(text) =>
        {
            Some(false)
        }
        (Operand::Some { .. }, Operand::Text(text))
        | (Operand::Text(text), Operand::Some { .. })
            if text.is_empty() =>
        {
            Some(false)
        }
        _ => None,
    }
}
