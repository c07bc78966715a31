//! A key that is there and changes nothing.

use lanes::{DeclarationKind, LintLevel, codes::Code, glob::Glob};

use super::{Rule, uncovered_file::Covers};
use crate::{
    check::{findings::Found, view::View},
    packages,
};

pub(super) static RULE: Rule = Rule {
    code: Code {
        name: "key_without_effect",
        cause: "A key or an entry of a list changes nothing where it stands: what it belongs to is \
                not there, or another key decides.",
        remedy: "Do as the message says, or take it out.",
    },
    level: LintLevel::Warn,
    find,
};

fn find(view: &View<'_>) -> Vec<Found> {
    let idle = view.catalog.idle().into_iter();
    let idle = idle.map(|idle| Found::at(&RULE.code, idle.span, idle.message).help(idle.help));
    idle.chain(ignore(view)).chain(ignore_manifests(view)).chain(profiles(view)).collect()
}

/// `ignore` is about paths that nothing covers.
fn ignore<'v>(view: &'v View<'_>) -> impl Iterator<Item = Found> + use<'v> {
    let rules = view.catalog.rules();
    let covers = Covers::of(view, rules.run_all.iter());
    rules.ignore.iter().filter_map(move |used| {
        // One that matches nothing is dead, which is told as that.
        let files = view.files_of(used.glob);
        if files.is_empty() || !files.iter().all(|&file| covers.covers(view, file)) {
            return None;
        }
        let text = view.text(used.glob);
        let message = format!("`ignore` keeps nothing from running: lanes cover all of `{text}`");
        let help = "take the glob out, or write it into the `exclude` of those lanes";
        Some(Found::at(&RULE.code, used.span, message).help(help))
    })
}

fn ignore_manifests<'v>(view: &'v View<'_>) -> impl Iterator<Item = Found> + use<'v> {
    let rules = view.catalog.rules();
    let watched: Vec<Glob> = packages::watched();
    let is_manifest = move |path: &[u8]| watched.iter().any(|glob| glob.is_match(path));
    rules.ignore_manifests.iter().zip(&rules.ignore_manifests_at).filter_map(move |(glob, at)| {
        let mut matched = 0;
        for file in view.files {
            let path = file.path.as_bytes();
            let in_submodule =
                |name: &&str| glob.is_match([path, b"/", name.as_bytes()].concat().as_slice());
            if file.submodule && packages::manifest_names().iter().any(in_submodule) {
                return None;
            }
            if glob.is_match(path) {
                matched += 1;
                if is_manifest(path) {
                    return None;
                }
            }
        }
        let message = match matched {
            0 => format!("`ignore_manifests` ignores nothing: `{}` matches no file", glob.as_str()),
            _ => format!(
                "`ignore_manifests` ignores nothing: `{}` matches no package manifest",
                glob.as_str()
            ),
        };
        let help = "write the path as it is now, or take the glob out; files that are to run \
                    nothing stand in `ignore`";
        Some(Found::at(&RULE.code, *at, message).help(help))
    })
}

/// Globs of snapshot profiles that leave out nothing.
fn profiles<'v>(view: &'v View<'_>) -> impl Iterator<Item = Found> + use<'v> {
    let declared = view.catalog.declarations().list.iter();
    let declared = declared.filter(|it| it.kind == DeclarationKind::SnapshotProfile && it.used);
    declared.flat_map(move |profile| {
        let globs = view.catalog.snapshot_profiles().iter();
        let globs = globs.filter(|(name, _)| name.as_str() == profile.name);
        globs.flat_map(|(_, globs)| globs).filter_map(move |text| {
            let glob = Glob::new(text).ok()?;
            if view.files.iter().any(|file| glob.is_match(file.path.as_bytes())) {
                return None;
            }
            let message = format!(
                "the snapshot profile `{}` leaves out nothing by `{text}`, which matches no file",
                profile.name
            );
            let help = "write the path as it is now, or take the glob out";
            Some(Found::at(&RULE.code, profile.span, message).help(help))
        })
    })
}
