//! Expressions evaluated as far as a change set decides them: a value is known, unknown, or one of
//! two by a condition on lists of paths.
//!
//! Operators, functions and coercions are those of GitHub's documentation. What a context holds is
//! asked of [`Context`].

use super::{
    expression::{Expression, Operator, number},
    formula::{Atom, Formula},
};

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Self>),
    /// The names of the lists that match, as JSON or as a list.
    Names(Vec<(String, Atom)>),
    Unknown(Unknown),
    /// The first when the condition holds, else the second.
    Choice(Formula, Box<Self>, Box<Self>),
}

/// A value that is not known.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Unknown {
    /// Which part of the text it is.
    pub(super) why: String,
    /// Texts that it is not, and does not hold.
    pub(super) never: Vec<String>,
}

/// What expressions are evaluated in.
pub(super) trait Context {
    /// Returns what a context holds at some keys, `*` for all of them.
    fn at(&self, keys: &[String]) -> Value;
    /// Returns what a status function says.
    fn status(&self, function: &str) -> Value;
}

/// Values with more leaves than this are unknown.
const MOST: usize = 128;

pub(super) fn unknown(why: impl Into<String>) -> Value {
    Value::Unknown(Unknown { why: why.into(), never: Vec::new() })
}

impl Value {
    pub(super) fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    /// One of two values.
    pub(super) fn choice(condition: Formula, yes: Self, no: Self) -> Self {
        match condition {
            Formula::Is(true) => yes,
            Formula::Is(false) => no,
            _ if yes == no => yes,
            condition => Self::Choice(condition, Box::new(yes), Box::new(no)),
        }
    }

    /// The names of lists, if that is what it is where it is anything.
    pub(super) fn names(&self) -> Option<&[(String, Atom)]> {
        match self {
            Self::Names(names) => Some(names),
            Self::Choice(_, yes, no) => yes.names().or_else(|| no.names()),
            _ => None,
        }
    }

    fn leaves(&self) -> usize {
        match self {
            Self::Choice(_, yes, no) => yes.leaves() + no.leaves(),
            _ => 1,
        }
    }

    /// Puts another value in the place of each known or unknown one.
    pub(super) fn map(self, change: &dyn Fn(Self) -> Self) -> Self {
        match self {
            Self::Choice(condition, yes, no) => {
                Self::choice(condition, yes.map(change), no.map(change))
            }
            leaf => change(leaf),
        }
    }

    fn with(self, other: &Self, join: &dyn Fn(&Self, &Self) -> Self) -> Self {
        if self.leaves() * other.leaves() > MOST {
            return unknown("a value of many parts");
        }
        self.map(&|left| other.clone().map(&|right| join(&left, &right)))
    }

    /// When the value counts as true.
    pub(super) fn truth(&self) -> Formula {
        match self {
            Self::Null => Formula::Is(false),
            Self::Bool(value) => Formula::Is(*value),
            Self::Number(value) => Formula::Is(*value != 0.0 && !value.is_nan()),
            Self::Text(text) => Formula::Is(!text.is_empty()),
            Self::List(_) | Self::Names(_) => Formula::Is(true),
            Self::Unknown(unknown) => Formula::Maybe(unknown.why.clone()),
            Self::Choice(condition, yes, no) => {
                let (yes, no) = (yes.truth(), no.truth());
                condition.clone().and(yes).or(condition.clone().not().and(no))
            }
        }
    }

    /// The value where a text is expected, as in an output.
    pub(super) fn into_text(self) -> Self {
        self.map(&|leaf| match leaf {
            Self::Null => Self::text(""),
            Self::Bool(value) => Self::Text(value.to_string()),
            Self::Number(value) => Self::Text(value.to_string()),
            Self::List(_) => unknown("a list as text"),
            other => other,
        })
    }

    fn number(&self) -> f64 {
        match self {
            Self::Null => 0.0,
            Self::Bool(value) => f64::from(u8::from(*value)),
            Self::Number(value) => *value,
            Self::Text(text) if text.trim().is_empty() => 0.0,
            Self::Text(text) => number(text.trim()).unwrap_or(f64::NAN),
            _ => f64::NAN,
        }
    }
}

/// Evaluates an expression.
pub(super) fn evaluate(expression: &Expression, context: &dyn Context) -> Value {
    match expression {
        Expression::Null => Value::Null,
        Expression::Bool(value) => Value::Bool(*value),
        Expression::Number(value) => Value::Number(*value),
        Expression::Text(text) => Value::text(text),
        Expression::Context(_) | Expression::Field(..) | Expression::At(..) => {
            match keys(expression, context) {
                Some(keys) => context.at(&keys),
                None => unknown(format!("`{expression}`")),
            }
        }
        Expression::Call(name, arguments) => call(expression, name, arguments, context),
        Expression::Not(of) => evaluate(of, context).map(&|leaf| match leaf {
            Value::Unknown(unknown) => Value::Unknown(Unknown { never: Vec::new(), ..unknown }),
            leaf => Value::Bool(leaf.truth() == Formula::Is(false)),
        }),
        Expression::Both(Operator::And, left, right) => {
            let right = evaluate(right, context);
            short(evaluate(left, context), &right, false)
        }
        Expression::Both(Operator::Or, left, right) => {
            let right = evaluate(right, context);
            short(evaluate(left, context), &right, true)
        }
        Expression::Both(operator, left, right) => {
            let why = format!("`{expression}`");
            let right = evaluate(right, context);
            let join = |left: &Value, right: &Value| match (left, right) {
                (Value::Names(names), Value::Text(text))
                | (Value::Text(text), Value::Names(names))
                    if text == "[]" =>
                {
                    let lists = names.iter().map(|(_, atom)| Formula::List(*atom));
                    let any = lists.fold(Formula::Is(false), Formula::or);
                    let unequal = *operator == Operator::NotEqual;
                    Value::choice(any, Value::Bool(unequal), Value::Bool(!unequal))
                }
                (left, right) => match compared(*operator, left, right) {
                    Some(answer) => Value::Bool(answer),
                    None => unknown(why.clone()),
                },
            };
            evaluate(left, context).with(&right, &join)
        }
    }
}

/// `&&` and `||` give one of their operands.
fn short(left: Value, right: &Value, or: bool) -> Value {
    if left.leaves() * right.leaves() > MOST {
        return unknown("a value of many parts");
    }
    left.map(&|leaf| match leaf.truth() {
        Formula::Is(truth) => {
            if truth == or {
                leaf
            } else {
                right.clone()
            }
        }
        open => {
            let (yes, no) =
                if or { (leaf, right.clone()) } else { (right.clone(), Value::Bool(false)) };
            Value::choice(open, yes, no)
        }
    })
}

fn keys(expression: &Expression, context: &dyn Context) -> Option<Vec<String>> {
    match expression {
        Expression::Context(name) => Some(vec![name.clone()]),
        Expression::Field(of, name) => {
            let mut keys = keys(of, context)?;
            keys.push(name.clone());
            Some(keys)
        }
        Expression::At(of, index) => {
            let mut keys = keys(of, context)?;
            match evaluate(index, context) {
                Value::Text(text) => keys.push(text),
                Value::Number(number) => keys.push(number.to_string()),
                _ => return None,
            }
            Some(keys)
        }
        _ => None,
    }
}

/// Compares two leaves; nothing where that is not known.
fn compared(operator: Operator, left: &Value, right: &Value) -> Option<bool> {
    let equal = |answer: bool| match operator {
        Operator::Equal => Some(answer),
        Operator::NotEqual => Some(!answer),
        _ => None,
    };
    match (left, right) {
        (Value::Unknown(unknown), Value::Text(text))
        | (Value::Text(text), Value::Unknown(unknown)) => {
            let never = unknown.never.iter().any(|it| it.eq_ignore_ascii_case(text));
            if never { equal(false) } else { None }
        }
        (Value::Unknown(_) | Value::Names(_) | Value::List(_), _)
        | (_, Value::Unknown(_) | Value::Names(_) | Value::List(_)) => None,
        (Value::Text(left), Value::Text(right)) => {
            let order = left.to_lowercase().cmp(&right.to_lowercase());
            Some(match operator {
                Operator::Equal => order.is_eq(),
                Operator::NotEqual => order.is_ne(),
                Operator::Less => order.is_lt(),
                Operator::LessOrEqual => order.is_le(),
                Operator::Greater => order.is_gt(),
                Operator::GreaterOrEqual => order.is_ge(),
                Operator::And | Operator::Or => return None,
            })
        }
        (Value::Null, Value::Null) => equal(true),
        (left, right) => {
            let order = left.number().partial_cmp(&right.number());
            let is = |wanted: fn(std::cmp::Ordering) -> bool| order.is_some_and(wanted);
            Some(match operator {
                Operator::Equal => is(std::cmp::Ordering::is_eq),
                Operator::NotEqual => !is(std::cmp::Ordering::is_eq),
                Operator::Less => is(std::cmp::Ordering::is_lt),
                Operator::LessOrEqual => is(std::cmp::Ordering::is_le),
                Operator::Greater => is(std::cmp::Ordering::is_gt),
                Operator::GreaterOrEqual => is(std::cmp::Ordering::is_ge),
                Operator::And | Operator::Or => return None,
            })
        }
    }
}

fn call(
    expression: &Expression,
    name: &str,
    arguments: &[Expression],
    context: &dyn Context,
) -> Value {
    let why = || unknown(format!("`{expression}`"));
    match (name, arguments) {
        ("always" | "success" | "failure" | "cancelled", []) => context.status(name),
        ("contains", [within, item]) => {
            let item = evaluate(item, context);
            evaluate(within, context).with(&item, &|within, item| contains(within, item, &why))
        }
        ("startswith" | "endswith", [text, part]) => {
            let part = evaluate(part, context).into_text();
            let starts = name == "startswith";
            evaluate(text, context).into_text().with(&part, &|text, part| match (text, part) {
                (Value::Text(text), Value::Text(part)) => {
                    let (text, part) = (text.to_lowercase(), part.to_lowercase());
                    Value::Bool(if starts {
                        text.starts_with(&part)
                    } else {
                        text.ends_with(&part)
                    })
                }
                _ => why(),
            })
        }
        ("fromjson", [text]) => evaluate(text, context).map(&|leaf| match leaf {
            Value::Names(names) => Value::Names(names),
            Value::Text(text) => {
                serde_json::from_str(&text).map_or_else(|_| why(), |it| of_json(&it))
            }
            Value::Unknown(unknown) => Value::Unknown(unknown),
            _ => why(),
        }),
        ("tojson", [value]) => evaluate(value, context).map(&|leaf| match leaf {
            Value::Names(names) => Value::Names(names),
            Value::Bool(value) => Value::Text(value.to_string()),
            Value::Unknown(unknown) => Value::Unknown(unknown),
            _ => why(),
        }),
        // What no part holds, the whole does not hold either.
        ("join", [list, ..]) => evaluate(list, context).map(&|leaf| match leaf {
            Value::Unknown(unknown) => Value::Unknown(unknown),
            _ => why(),
        }),
        _ => why(),
    }
}

fn contains(within: &Value, item: &Value, why: &dyn Fn() -> Value) -> Value {
    match (within, item) {
        (Value::Names(names), Value::Text(item)) => {
            // Of a list the item is a whole name; of a text it may be a part of one.
            let name = item.trim_matches('"').to_lowercase();
            let hit = |(known, atom): &(String, Atom)| {
                let known = known.to_lowercase();
                let inside = known.contains(&name) && !item.starts_with('"');
                (known == name || inside).then_some(Formula::List(*atom))
            };
            let any = names.iter().filter_map(hit).fold(Formula::Is(false), Formula::or);
            Value::choice(any, Value::Bool(true), Value::Bool(false))
        }
        (Value::Unknown(unknown), Value::Text(item))
            if unknown.never.iter().any(|it| it.eq_ignore_ascii_case(item)) =>
        {
            Value::Bool(false)
        }
        (Value::List(list), item) => {
            let known = list.iter().map(|one| compared(Operator::Equal, one, item));
            let known: Vec<Option<bool>> = known.collect();
            if known.contains(&Some(true)) {
                Value::Bool(true)
            } else if known.contains(&None) {
                why()
            } else {
                Value::Bool(false)
            }
        }
        (Value::Text(text), Value::Text(item)) => {
            Value::Bool(text.to_lowercase().contains(&item.to_lowercase()))
        }
        (Value::Null, Value::Text(item)) => Value::Bool(item.is_empty()),
        _ => why(),
    }
}

fn of_json(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => Value::Bool(*value),
        serde_json::Value::Number(value) => {
            value.as_f64().map_or_else(|| unknown("a number"), Value::Number)
        }
        serde_json::Value::String(text) => Value::text(text),
        serde_json::Value::Array(list) => Value::List(list.iter().map(of_json).collect()),
        serde_json::Value::Object(_) => unknown("an object"),
    }
}
