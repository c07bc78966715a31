//! Matrices of other engines as ours: what can be said by `matrix`, `matrix_exclude` and
//! `matrix_include`, and how a script reads their values. Whether a job then loads is asked of `lanes`.

use lanes::{FileError, Files, glob::Glob};
use serde_json::Value;

use super::{
    document::text_of,
    quotes,
    yaml::{Node, get, text},
};
use crate::init::draft::{Draft, JobDraft, LaneDraft, MatrixDraft};

/// The matrix of a job of GitHub's; nothing where it has none.
///
/// # Errors
///
/// Why it cannot be carried over.
pub(super) fn of_github(job: &Node) -> Option<Result<MatrixDraft, String>> {
    let matrix = get(get(job, "strategy")?, "matrix")?;
    let Some(axes) = matrix.as_map() else {
        return Some(Err("it is made while the workflow runs".to_owned()));
    };
    let mut found = MatrixDraft::default();
    for (name, values) in axes {
        let name = text(name)?;
        let result = match name.as_str() {
            "include" => rows(values, &name).map(|rows| found.include = rows),
            "exclude" => rows(values, &name).map(|rows| found.exclude = rows),
            _ => axis(values, &name).map(|values| found.axes.push((name.clone(), values))),
        };
        if let Err(reason) = result {
            return Some(Err(reason));
        }
    }
    Some(Ok(tidy(found)))
}

/// The matrix of a step of Buildkite's, and `NAME` for the one axis of a list.
///
/// # Errors
///
/// Why it cannot be carried over.
pub(super) fn of_buildkite(matrix: &Value) -> Result<MatrixDraft, String> {
    let setup = matrix.get("setup").unwrap_or(matrix);
    let mut found = MatrixDraft::default();
    match setup {
        Value::Object(axes) => {
            for (name, values) in axes {
                found.axes.push((name.clone(), all_texts(values, name)?));
            }
        }
        list => found.axes.push((ONLY.to_owned(), all_texts(list, "matrix")?)),
    }
    for one in matrix.get("adjustments").and_then(Value::as_array).into_iter().flatten() {
        let row: Vec<(String, String)> = match one.get("with") {
            Some(Value::Object(with)) => {
                let pairs = with.iter().map(|(name, value)| Some((name.clone(), text_of(value)?)));
                pairs.collect::<Option<_>>().ok_or("`adjustments` hold more than texts")?
            }
            Some(value) => {
                vec![(ONLY.to_owned(), text_of(value).ok_or("`adjustments` hold no text")?)]
            }
            None => return Err("`adjustments` without `with`".to_owned()),
        };
        match one.get("skip") {
            None | Some(Value::Null | Value::Bool(false)) if one.get("soft_fail").is_some() => {
                return Err("`soft_fail` of one combination".to_owned());
            }
            None | Some(Value::Null | Value::Bool(false)) => found.include.push(row),
            Some(_) => found.exclude.push(row),
        }
    }
    Ok(tidy(found))
}

/// The name of the axis that a list without names is.
const ONLY: &str = "value";

/// `{{matrix}}` and `{{ matrix.NAME }}` as we write them.
pub(super) fn from_buildkite(written: &str) -> String {
    let mut out = String::new();
    let mut rest = written;
    while let Some(open) = rest.find("{{") {
        let Some(length) = rest[open + 2..].find("}}") else { break };
        let inside = rest[open + 2..open + 2 + length].trim();
        let name = match inside {
            "matrix" => Some(ONLY),
            _ => inside.strip_prefix("matrix."),
        };
        out.push_str(&rest[..open]);
        match name {
            Some(name) => out.extend(["${{ matrix.", name, " }}"]),
            None => out.push_str(&rest[open..open + 2 + length + 2]),
        }
        rest = &rest[open + 2 + length + 2..];
    }
    out.push_str(rest);
    out
}

/// The matrix of a job of GitLab's: its rows need not have the same names.
///
/// # Errors
///
/// Why it cannot be carried over.
pub(super) fn of_gitlab(rows: &Value) -> Result<MatrixDraft, String> {
    let mut found: Vec<Vec<(String, Vec<String>)>> = Vec::new();
    for row in rows.as_array().into_iter().flatten() {
        let row = row.as_object().ok_or("a row holds no names")?;
        let axes = row.iter().map(|(name, values)| Ok((name.clone(), all_texts(values, name)?)));
        found.push(axes.collect::<Result<_, String>>()?);
    }
    if let [one] = found.as_slice() {
        return Ok(MatrixDraft { axes: one.clone(), ..MatrixDraft::default() });
    }
    let mut include = Vec::new();
    for row in found {
        let mut rows: Vec<Vec<(String, String)>> = vec![Vec::new()];
        for (name, values) in row {
            let more = rows.iter().flat_map(|row| {
                values
                    .iter()
                    .map(|value| [row.clone(), vec![(name.clone(), value.clone())]].concat())
            });
            rows = more.take(1_000).collect();
        }
        include.extend(rows);
    }
    Ok(MatrixDraft { include, ..MatrixDraft::default() })
}

/// The matrix of a job in a workflow of CircleCI's.
///
/// # Errors
///
/// Why it cannot be carried over.
pub(super) fn of_circleci(matrix: &Value) -> Result<MatrixDraft, String> {
    let mut found = MatrixDraft::default();
    for (name, values) in matrix.get("parameters").and_then(Value::as_object).into_iter().flatten()
    {
        found.axes.push((name.clone(), all_texts(values, name)?));
    }
    for row in matrix.get("exclude").and_then(Value::as_array).into_iter().flatten() {
        let pairs = row.as_object().into_iter().flatten();
        let row = pairs.map(|(name, value)| Some((name.clone(), text_of(value)?)));
        found.exclude.push(row.collect::<Option<_>>().ok_or("`exclude` holds more than texts")?);
    }
    Ok(tidy(found))
}

/// The matrix of a job of Azure's: each combination is written out, under a name of its own.
///
/// # Errors
///
/// Why it cannot be carried over.
pub(super) fn of_azure(matrix: &Value) -> Result<MatrixDraft, String> {
    let legs = matrix.as_object().ok_or("it is made while the pipeline runs")?;
    let mut include = Vec::new();
    for (name, values) in legs {
        let values = values.as_object().ok_or_else(|| format!("`{name}` holds no names"))?;
        let row = values.iter().map(|(name, value)| {
            let value = text_of(value).filter(|text| !text.contains("$("))?;
            Some((name.clone(), value))
        });
        let row = row.collect::<Option<_>>().filter(|_| !name.contains("${{"));
        include.push(row.ok_or_else(|| format!("`{name}` holds more than texts"))?);
    }
    Ok(MatrixDraft { include, ..MatrixDraft::default() })
}

/// The matrix of a workflow of Woodpecker's: lists of values by name, or combinations in `include`.
///
/// # Errors
///
/// Why it cannot be carried over.
pub(super) fn of_woodpecker(matrix: &Value) -> Result<MatrixDraft, String> {
    let map = matrix.as_object().ok_or("it holds no names")?;
    let mut found = MatrixDraft::default();
    // With `include` nothing else counts.
    if let Some(rows) = map.get("include") {
        for row in rows.as_array().into_iter().flatten() {
            let pairs = row.as_object().into_iter().flatten();
            let row = pairs.map(|(name, value)| Some((name.clone(), text_of(value)?)));
            let row = row.collect::<Option<_>>().ok_or("`include` holds more than texts")?;
            found.include.push(row);
        }
        return Ok(found);
    }
    for (name, values) in map {
        found.axes.push((name.clone(), all_texts(values, name)?));
    }
    Ok(found)
}

/// Lines that give the values of a matrix the names that scripts know them by.
pub(super) fn exports(matrix: &MatrixDraft) -> String {
    let mut lines = String::new();
    for name in matrix.names() {
        let from = variable(&name);
        let export = ["export ", &name, "=\"${", &from, "}\""].concat();
        if matrix.include.is_empty() {
            lines.extend([&export, "\n"]);
        } else {
            // A row may leave out what another one has.
            lines.extend(["if [ -n \"${", &from, "-}\" ]; then ", &export, "; fi\n"]);
        }
    }
    lines
}

fn all_texts(values: &Value, name: &str) -> Result<Vec<String>, String> {
    let list = match values {
        Value::Array(list) => list.iter().map(text_of).collect(),
        one => text_of(one).map(|one| vec![one]),
    };
    let list: Option<Vec<String>> = list.filter(|list: &Vec<String>| {
        !list.iter().any(|text| ["<<", "{{", "$["].iter().any(|sign| text.contains(sign)))
    });
    list.ok_or_else(|| format!("`{name}` holds more than texts"))
}

/// What takes nothing away is left out.
pub(super) fn tidy(mut matrix: MatrixDraft) -> MatrixDraft {
    let axes = &matrix.axes;
    matrix.exclude.retain(|row| {
        row.iter().all(|(name, value)| {
            axes.iter().any(|(axis, values)| axis == name && values.contains(value))
        })
    });
    matrix
}

fn axis(values: &Node, name: &str) -> Result<Vec<String>, String> {
    let Some(list) = values.as_list() else {
        return Err(format!("`{name}` is made while the workflow runs"));
    };
    let values: Option<Vec<String>> = list.iter().map(plain).collect();
    values.ok_or_else(|| format!("`{name}` holds more than texts"))
}

fn rows(values: &Node, name: &str) -> Result<Vec<Vec<(String, String)>>, String> {
    let Some(list) = values.as_list() else {
        return Err(format!("`{name}` is made while the workflow runs"));
    };
    let row = |row: &Node| -> Option<Vec<(String, String)>> {
        row.as_map()?.iter().map(|(name, value)| Some((text(name)?, plain(value)?))).collect()
    };
    let rows: Option<Vec<_>> = list.iter().map(row).collect();
    rows.ok_or_else(|| format!("`{name}` holds more than texts"))
}

fn plain(value: &Node) -> Option<String> {
    if value.is_null() {
        return Some(String::new());
    }
    text(value).filter(|text| !text.contains("${{"))
}

impl MatrixDraft {
    /// Every name that a combination may have.
    pub(super) fn names(&self) -> Vec<String> {
        let more = self.include.iter().flatten().map(|(name, _)| name);
        super::filter::distinct(
            self.axes.iter().map(|(name, _)| name).chain(more).cloned().collect(),
        )
    }
}

/// Gives a job the ids of what its matrix and its parts make of it, if it loads with them.
///
/// # Errors
///
/// The first thing that is said against it.
pub(super) fn fit(job: &mut JobDraft) -> Result<(), String> {
    struct Only(String, String);
    impl Files for Only {
        fn read(&self, path: &str) -> Result<Option<Vec<u8>>, FileError> {
            let text = if path == "m" { &self.0 } else { &self.1 };
            Ok(Some(text.clone().into_bytes()))
        }

        fn matching(&self, _: &Glob) -> Result<Vec<String>, FileError> {
            Ok(Vec::new())
        }
    }
    // Ids are cut there, and a number may stand behind them.
    let id = format!("{}-00", &"x".repeat(48)[..job.id.len().clamp(1, 48)]);
    let alone = JobDraft { id: id.clone(), needs: Vec::new(), run_if: None, ..job.clone() };
    let lane = LaneDraft { id: "lane".to_owned(), jobs: vec![alone], ..LaneDraft::default() };
    let files = Draft { lanes: vec![lane], ..Draft::default() }.files();
    match lanes::load(&Only(files.manifest, files.catalog), "m", "c") {
        Ok(catalog) => {
            let jobs = catalog.lane_indices().flat_map(|lane| catalog.jobs_of(lane));
            let ids = jobs.filter_map(|&job| catalog[job].id.as_str().strip_prefix(id.as_str()));
            job.members = ids.map(str::to_owned).collect();
            Ok(())
        }
        Err(found) => {
            let text = found.to_string();
            let line = text.lines().next().unwrap_or_default();
            Err(line.split_once(": ").map_or(line, |(_, message)| message).to_owned())
        }
    }
}

/// A text for people: expressions that nothing here fills in stand in parentheses.
pub(super) fn title(written: &str, known: &[String]) -> String {
    expressions(written, &mut |inside, out| match name_of(inside) {
        Some(name) if known.contains(&name) => out.extend(["${{ matrix.", &name, " }}"]),
        _ => out.extend(["(", inside.trim(), ")"]),
    })
}

/// Whether a text has no expression but names of the matrix and other variables.
pub(super) fn only_names(written: &str, known: &[String]) -> bool {
    let mut all = true;
    expressions(written, &mut |inside, _| all &= variable_in(inside, known).is_some());
    all
}

/// What of a text is no expression.
pub(super) fn plain_part(written: &str) -> String {
    expressions(written, &mut |_, _| {})
}

/// A variable as it stands in a text until [`script`] reads it: no expression begins so.
pub(super) fn as_variable(name: &str) -> String {
    format!("${{{{={name}}}}}")
}

/// The variable that an expression is about, where there is one.
fn variable_in(inside: &str, known: &[String]) -> Option<String> {
    if let Some(name) = inside.strip_prefix('=') {
        return Some(name.to_owned());
    }
    name_of(inside).filter(|name| known.contains(name)).map(|name| variable(&name))
}

/// A script that reads the values of a matrix, and other variables, from its environment.
pub(super) fn script(written: &str, known: &[String]) -> String {
    quotes::filled(written, &|inside| variable_in(inside, known))
}

/// The variable that holds a value.
pub(super) fn variable(name: &str) -> String {
    format!("MATRIX_{}", name.replace('-', "_").to_ascii_uppercase())
}

fn name_of(inside: &str) -> Option<String> {
    let name = inside.trim().strip_prefix("matrix.")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    name.chars().all(plain).then(|| name.to_owned())
}

/// A text with what `put` writes for each expression, given what stands inside of it.
pub(super) fn expressions(written: &str, put: &mut dyn FnMut(&str, &mut String)) -> String {
    let mut out = String::new();
    let mut rest = written;
    while let Some(open) = rest.find("${{") {
        let Some(length) = rest[open + 3..].find("}}") else { break };
        out.push_str(&rest[..open]);
        put(&rest[open + 3..open + 3 + length], &mut out);
        rest = &rest[open + 3 + length + 2..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::script;

    #[test]
    fn a_script_reads_the_values_of_a_matrix_by_their_variables() {
        let known = ["os".to_owned(), "py-version".to_owned()];
        for (written, read) in [
            ("echo ${{ matrix.os }}", "echo ${MATRIX_OS}"),
            ("echo \"${{matrix.py-version}}\"", "echo \"${MATRIX_PY_VERSION}\""),
            ("echo '${{ matrix.os }}'", "echo ''\"${MATRIX_OS}\"''"),
            ("echo ${{ matrix.other }} ${{=STEP_A_B}}", "echo ${{ matrix.other }} ${STEP_A_B}"),
        ] {
            assert_eq!(script(written, &known), read, "{written}");
        }
    }
}
