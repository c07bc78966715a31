//! Which combinations a matrix has, and what their jobs are called.

use std::{
    collections::{BTreeMap, BTreeSet},
    iter,
};

use super::too_many;
use crate::{
    bounds::MOST_MEMBERS,
    codes,
    decode::Named,
    diagnostic::Diagnostic,
    job_file::{JobFile, MatrixValue},
    names::{shorten, suggestion},
    source::{At, Span},
};

/// More than this many combinations are not even made to be taken away again.
const MOST_MADE: usize = 65_536;

/// One combination.
#[derive(Debug, Clone, Default)]
pub(super) struct Row {
    /// The value of each name.
    pub(super) values: BTreeMap<String, String>,
    /// The names that are part of its id, in their order.
    named: Vec<String>,
}

impl Row {
    /// Returns the combination as people write it.
    pub(super) fn said(&self) -> String {
        let values = self.named.iter().map(|name| format!("{name} = {}", self.values[name]));
        values.collect::<Vec<_>>().join(", ")
    }
}

/// Returns the id of a member: the job's, then the values, then the part.
pub(super) fn id_of(job: &str, row: &Row, shard: Option<u32>) -> String {
    let values = row.named.iter().map(|name| slug(&row.values[name]));
    let parts: Vec<String> =
        iter::once(job.to_owned()).chain(values).chain(shard.map(|it| it.to_string())).collect();
    parts.join("-")
}

/// A value as part of an id: what ids do not take is `-`, once for several.
fn slug(value: &str) -> String {
    let mut slug = String::with_capacity(value.len());
    for c in value.chars() {
        if c.is_ascii_alphanumeric() || matches!(c, '.' | '_') {
            slug.push(c);
        } else if !slug.ends_with('-') && !slug.is_empty() {
            slug.push('-');
        }
    }
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() { "empty".to_owned() } else { slug.to_owned() }
}

type Values = Named<At<MatrixValue>>;

/// The combinations of a job's matrix, the first name slowest; then those of `matrix_include`.
pub(super) fn combinations(job: &JobFile, found: &mut Vec<Diagnostic>) -> Vec<Row> {
    let before = found.len();
    let axes = axes(job, found);
    let product = axes
        .iter()
        .try_fold(1usize, |product, (_, values)| product.checked_mul(values.len()))
        .unwrap_or(usize::MAX);
    let place = job.matrix.as_ref().map_or(job.id.span, |at| at.span);
    if product > MOST_MADE {
        too_many(job, product, place, found);
    }
    if found.len() > before {
        return vec![Row::default()];
    }
    let mut rows = if axes.is_empty() { Vec::new() } else { vec![Row::default()] };
    for (name, values) in &axes {
        rows = rows
            .into_iter()
            .flat_map(|row| {
                values.iter().map(move |value| {
                    let mut row = row.clone();
                    row.values.insert(name.value.clone(), value.0.clone());
                    row.named.push(name.value.clone());
                    row
                })
            })
            .collect();
    }
    for out in job.matrix_exclude.iter().flatten() {
        exclude(out, &mut rows, &axes, found);
    }
    let made = rows.len();
    for more in job.matrix_include.iter().flatten() {
        include(more, &mut rows, made, &axes, found);
    }
    if rows.is_empty() {
        let message = format!("the matrix of the job `{}` has no combination", shorten(&job.id));
        found.push(Diagnostic::error(&codes::EMPTY_MATRIX, place, message).remedy());
        rows.push(Row::default());
    } else if rows.len() > MOST_MEMBERS {
        too_many(job, rows.len(), place, found);
    }
    rows
}

type Axis<'a> = (&'a At<String>, Vec<&'a MatrixValue>);

/// The names and their values, in the order in which they are written.
fn axes<'a>(job: &'a JobFile, found: &mut Vec<Diagnostic>) -> Vec<Axis<'a>> {
    let mut axes: Vec<Axis<'a>> = Vec::new();
    let mut variables: BTreeMap<String, Span> = BTreeMap::new();
    for (name, values) in job.matrix.iter().flat_map(|at| &at.value.0) {
        check_name(name, &mut variables, found);
        if values.value.is_empty() {
            let message = format!("`{}` has no value, so there is no combination", shorten(name));
            found.push(Diagnostic::error(&codes::EMPTY_MATRIX, values.span, message).remedy());
        }
        for value in &values.value {
            check_value(value, found);
        }
        axes.push((name, values.value.iter().map(|at| &at.value).collect()));
    }
    axes.sort_by_key(|(name, _)| name.span.start);
    for (name, value) in job.matrix_include.iter().flatten().flat_map(|row| &row.value.0) {
        check_value(value, found);
        if !axes.iter().any(|(axis, _)| axis.value == name.value) {
            let before = variables.get(&super::fill::variable(name)).copied();
            if before.is_none_or(|_| !included(job, name)) {
                check_name(name, &mut variables, found);
            }
        }
    }
    axes
}

/// Whether an earlier row of `matrix_include` has that very name.
fn included(job: &JobFile, name: &At<String>) -> bool {
    let rows = job.matrix_include.iter().flatten().flat_map(|row| &row.value.0);
    rows.filter(|(other, _)| other.span.start < name.span.start)
        .any(|(other, _)| other.value == name.value)
}

fn check_name(
    name: &At<String>,
    variables: &mut BTreeMap<String, Span>,
    found: &mut Vec<Diagnostic>,
) {
    let mut bytes = name.bytes();
    let good = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
        && name.len() <= 64;
    if !good {
        let message = format!(
            "a name of a matrix has letters, digits, `_` and `-`, the first no digit, unlike `{}`",
            shorten(name)
        );
        found.push(Diagnostic::error(&codes::BAD_ID, name.span, message));
    }
    let variable = super::fill::variable(name);
    if let Some(first) = variables.insert(variable.clone(), name.span) {
        let message = format!("two names of this matrix would be the variable `{variable}`");
        found.push(
            Diagnostic::error(&codes::DUPLICATE_ID, name.span, message).also(first, "the first"),
        );
    }
}

fn check_value(value: &At<MatrixValue>, found: &mut Vec<Diagnostic>) {
    if value.value.0.chars().any(char::is_control) {
        let message = "a value of a matrix holds a control character";
        found.push(Diagnostic::error(&codes::BAD_VALUE, value.span, message));
    }
}

fn exclude(out: &At<Values>, rows: &mut Vec<Row>, axes: &[Axis<'_>], found: &mut Vec<Diagnostic>) {
    for (name, _) in &out.value.0 {
        if !axes.iter().any(|(axis, _)| axis.value == name.value) {
            let message = format!("the matrix has no `{}`", shorten(name));
            let known = axes.iter().map(|(axis, _)| axis.value.as_str());
            let mut diagnostic = Diagnostic::error(&codes::UNKNOWN_MATRIX_NAME, name.span, message);
            diagnostic = match suggestion(name, known) {
                Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
                None => diagnostic.remedy(),
            };
            found.push(diagnostic);
            return;
        }
    }
    let before = rows.len();
    rows.retain(|row| {
        !out.value.0.iter().all(|(name, value)| row.values.get(&name.value) == Some(&value.value.0))
    });
    if rows.len() == before || out.value.0.is_empty() {
        let message = "this entry takes no combination away";
        found.push(
            Diagnostic::error(&codes::BAD_VALUE, out.span, message)
                .help("name values as `matrix` has them, or remove the entry"),
        );
    }
}

/// As GitHub has it: what an entry adds to combinations of the matrix without changing one of
/// their values is added to each of those; else it is a combination of its own.
fn include(
    more: &At<Values>,
    rows: &mut Vec<Row>,
    made: usize,
    axes: &[Axis<'_>],
    found: &mut Vec<Diagnostic>,
) {
    if more.value.0.is_empty() {
        let message = "an entry of `matrix_include` without a value is no combination";
        found.push(Diagnostic::error(&codes::EMPTY_MATRIX, more.span, message).remedy());
        return;
    }
    let of_axes: BTreeSet<&str> = axes.iter().map(|(axis, _)| axis.value.as_str()).collect();
    let mut added = false;
    for row in &mut rows[..made] {
        let fits = more.value.0.iter().all(|(name, value)| {
            !of_axes.contains(name.as_str()) || row.values.get(&name.value) == Some(&value.value.0)
        });
        if fits {
            for (name, value) in &more.value.0 {
                row.values.insert(name.value.clone(), value.value.0.clone());
            }
            added = true;
        }
    }
    if added {
        return;
    }
    let mut row = Row::default();
    let mut names: Vec<(&At<String>, &At<MatrixValue>)> =
        more.value.0.iter().map(|(name, value)| (name, value)).collect();
    let order = |name: &At<String>| {
        let axis = axes.iter().position(|(axis, _)| axis.value == name.value);
        (axis.unwrap_or(axes.len()), name.span.start)
    };
    names.sort_by_key(|(name, _)| order(name));
    for (name, value) in names {
        row.values.insert(name.value.clone(), value.value.0.clone());
        row.named.push(name.value.clone());
    }
    rows.push(row);
}

#[cfg(test)]
mod tests {
    use super::slug;

    #[test]
    fn a_value_is_part_of_an_id() {
        for (value, expected) in [
            ("no_std", "no_std"),
            ("pika-ci", "pika-ci"),
            ("1.80", "1.80"),
            ("a  b/c", "a-b-c"),
            ("--x--", "x"),
            ("", "empty"),
            ("ü", "empty"),
        ] {
            assert_eq!(slug(value), expected, "{value:?}");
        }
    }
}
