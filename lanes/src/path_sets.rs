//! Lists of globs as written: named ones expanded into what `@name` stands for, and filters of them.

use std::collections::HashMap;

use crate::{
    catalog::{GlobUse, PathFilter},
    codes,
    context::Context,
    diagnostic::Diagnostic,
    manifest::Manifest,
    order::order,
    read::Part,
    source::{At, Span},
};

/// Expands every set of the manifests; sets in a circle stand for nothing.
pub(crate) fn expand<'a>(manifests: &'a [Part<Manifest>], context: &mut Context<'a>) {
    let mut names: Vec<&'a At<String>> = Vec::new();
    let mut lists: Vec<(&'a [At<String>], Option<&'a str>)> = Vec::new();
    let mut positions: HashMap<&'a str, usize> = HashMap::new();
    for part in manifests {
        for (name, list) in part.file.path_sets.iter().flat_map(|sets| &sets.0) {
            if let Err(error) = plans::ProfileName::new(name.value.as_str()) {
                let message = error.to_string().replace(plans::ProfileName::WHAT, "path set");
                context.error(&codes::BAD_ID, name.span, message);
            }
            if let Some(&first) = positions.get(name.as_str()) {
                context.duplicate("path sets", name, names[first].span);
                continue;
            }
            positions.insert(name, names.len());
            names.push(name);
            lists.push((list, part.under.as_deref()));
        }
    }
    let edges: Vec<Vec<usize>> = lists
        .iter()
        .map(|(list, _)| {
            let inner = list.iter().filter_map(|text| text.strip_prefix('@'));
            inner.filter_map(|name| positions.get(name).copied()).collect()
        })
        .collect();
    let sequence = match order(&edges) {
        Ok(sequence) => sequence,
        Err(circles) => {
            for circle in circles {
                let steps: Vec<_> =
                    circle.iter().map(|&at| (names[at].as_str(), names[at].span)).collect();
                report_circle("path sets hold each other", &steps, context);
            }
            // Known by name, so that their uses are not unknown as well.
            context.sets.extend(names.iter().map(|name| (name.as_str(), [].into())));
            return;
        }
    };
    for position in sequence {
        let (list, under) = lists[position];
        let globs: Vec<GlobUse> = context.globs(list, under);
        context.sets.insert(names[position], globs.into());
    }
}

/// Reports a circle with its whole path.
pub(crate) fn report_circle(what: &str, steps: &[(&str, Span)], context: &mut Context<'_>) {
    let Some(&(first, span)) = steps.first() else { return };
    let path: Vec<&str> = steps.iter().map(|(name, _)| *name).chain([first]).collect();
    let shown = if path.len() > 20 {
        format!("{} -> … ({} more) -> {first}", path[..18].join(" -> "), path.len() - 19)
    } else {
        path.join(" -> ")
    };
    let message = format!("{what} in a circle: {shown}");
    let mut diagnostic = Diagnostic::error(&codes::CYCLE, span, message);
    for (position, (name, span)) in steps.iter().enumerate().skip(1).take(18) {
        let before = steps[position - 1].0;
        diagnostic = diagnostic.also(*span, format!("`{before}` names `{name}`"));
    }
    context.report(diagnostic.help("take one of these steps out"));
}

/// A filter as written, or nothing if no key of it is there.
pub(crate) fn filter(
    paths: Option<&[At<String>]>,
    exclude: Option<&[At<String>]>,
    under: Option<&str>,
    context: &mut Context<'_>,
) -> Option<PathFilter> {
    if paths.is_none() && exclude.is_none() {
        return None;
    }
    let paths: Option<Vec<GlobUse>> = paths.map(|paths| context.globs(paths, under));
    let exclude = context.globs(exclude.unwrap_or_default(), under);
    Some(PathFilter { paths, exclude, statuses: None })
}
