//! A symbolic link that a job sees without what it leads to.

use lanes::{LintLevel, codes::Code};

use super::Rule;
use crate::check::{findings::Found, inputs::Seen, view::View};

pub(super) static RULE: Rule = Rule {
    code: Code {
        name: "input_link_outside",
        cause: "A job's `inputs` hold a symbolic link, and neither the file it leads to nor a file \
                below that directory: the job sees a link to nowhere.",
        remedy: "Add what the link leads to, or leave the link out with `inputs_exclude`.",
    },
    level: LintLevel::Warn,
    find,
};

fn find(view: &View<'_>) -> Vec<Found> {
    let mut found = Vec::new();
    for (index, job) in view.jobs() {
        let seen = Seen::by_job(view, index);
        let Seen::Files(files) = &seen else { continue };
        for &file in files {
            let tracked = &view.files[file as usize];
            let Some(target) = &tracked.link else { continue };
            let Some(to) = leads_to(tracked.path.as_bytes(), target) else { continue };
            let is_there = view.file_at(&to).is_some_and(|file| seen.has(file))
                || view.files_below_bytes(&to).any(|file| seen.has(file));
            if !is_there {
                let message = format!(
                    "the job `{}` sees the link `{}`, but not `{}`, which it leads to",
                    job.id,
                    view.path(file),
                    String::from_utf8_lossy(&to).escape_debug()
                );
                found.push(
                    Found::at(&RULE.code, job.span, message)
                        .help("add that to its `inputs`, or exclude the link"),
                );
            }
        }
    }
    found
}

/// Where in the tree a link leads; nothing for one that leaves it, which is no file of it.
fn leads_to(link: &[u8], target: &[u8]) -> Option<Vec<u8>> {
    if target.starts_with(b"/") {
        return None;
    }
    let mut way: Vec<&[u8]> = link.split(|&byte| byte == b'/').collect();
    way.pop();
    for name in target.split(|&byte| byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => {
                way.pop()?;
            }
            name => way.push(name),
        }
    }
    Some(way.join(&b'/'))
}
