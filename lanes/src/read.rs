//! Which files there are, and their TOML: from the planned tree to tables as written.
//!
//! Follows `include`; gives no meaning to anything else. Files are opened by one thread; texts that
//! are worth it are parsed by several, and what comes of them is put together in the files' order.

use std::thread;

use toml::de::{DeTable, DeValue};

use crate::{
    catalog_file::CatalogFile,
    codes,
    decode::{self, Decode, TableAt},
    diagnostic::Diagnostic,
    glob::Glob,
    groups::Groups,
    invariants_file::InvariantsFile,
    manifest::Manifest,
    names::shorten,
    scenario_file::ScenarioFile,
    source::{At, SourceId, Sources, Span},
};

/// Why a file of the tree could not be read or listed.
pub type FileError = Box<dyn std::error::Error + Send + Sync>;

/// The planned tree, as far as reading manifest and catalog needs it.
pub trait Files {
    /// Returns the content of a file, or nothing if there is none at that path.
    ///
    /// # Errors
    ///
    /// Whatever kept the file from being read.
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, FileError>;

    /// Returns the paths of the tree that a glob matches, in any order.
    ///
    /// # Errors
    ///
    /// Whatever kept the tree from being listed.
    fn matching(&self, glob: &Glob) -> Result<Vec<String>, FileError>;
}

/// One file as written, and the directory below which its globs are.
#[derive(Debug)]
pub(crate) struct Part<T> {
    pub(crate) file: T,
    pub(crate) under: Option<String>,
}

/// Every file as written.
#[derive(Debug, Default)]
pub(crate) struct Written {
    pub(crate) manifests: Vec<Part<Manifest>>,
    /// The built-in bases first; nothing but them when there is no catalog.
    pub(crate) catalogs: Vec<Part<CatalogFile>>,
    /// The files of the tree that were read.
    pub(crate) paths: Vec<String>,
    /// Globs of `include` that match no file.
    pub(crate) empty_includes: Vec<Span>,
    /// Whether the catalog is not in the tree.
    pub(crate) no_catalog: bool,
    /// Whether a manifest was not understood whole, so that missing names prove nothing.
    pub(crate) lost_manifest: bool,
    /// The same for the catalog.
    pub(crate) lost_catalog: bool,
    /// What jobs with a matrix or shards became.
    pub(crate) groups: Groups,
}

impl Written {
    /// Returns the catalogs but the built-in one.
    pub(crate) fn own_catalogs(&self) -> &[Part<CatalogFile>] {
        self.catalogs.get(1..).unwrap_or_default()
    }
}

/// The built-in bases, in the catalog's own format.
const BASES: &str = include_str!("bases.toml");

/// A file that may include others of its kind.
trait Includes: Decode {
    fn version(&self) -> Option<&At<u64>>;
    fn include(&self) -> Option<&[At<String>]>;
    fn under(&self) -> Option<&At<String>>;
    fn table(&self) -> TableAt;
    /// Keys that only the main file may have, where an included file has them.
    fn main_only(&self) -> Vec<(&'static str, Span)>;
}

impl Includes for Manifest {
    fn version(&self) -> Option<&At<u64>> {
        self.version.as_ref()
    }

    fn include(&self) -> Option<&[At<String>]> {
        self.include.as_deref()
    }

    fn under(&self) -> Option<&At<String>> {
        self.under.as_ref()
    }

    fn table(&self) -> TableAt {
        self.table
    }

    fn main_only(&self) -> Vec<(&'static str, Span)> {
        let schedule = self.nightly_schedule_utc.as_ref();
        let branch = self.default_branch.as_ref();
        let unmatched = self.unmatched_paths.as_ref();
        [
            schedule.map(|at| ("nightly_schedule_utc", at.span)),
            branch.map(|at| ("default_branch", at.span)),
            unmatched.map(|at| ("unmatched_paths", at.span)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

impl Includes for CatalogFile {
    fn version(&self) -> Option<&At<u64>> {
        self.version.as_ref()
    }

    fn include(&self) -> Option<&[At<String>]> {
        self.include.as_deref()
    }

    fn under(&self) -> Option<&At<String>> {
        self.under.as_ref()
    }

    fn table(&self) -> TableAt {
        self.table
    }

    fn main_only(&self) -> Vec<(&'static str, Span)> {
        Vec::new()
    }
}

/// Reads manifest, catalog and what they include.
pub(crate) fn read_all(
    files: &dyn Files,
    manifest: &str,
    catalog: &str,
    sources: &mut Sources,
    found: &mut Vec<Diagnostic>,
) -> Written {
    let (mut paths, mut empty_includes) = (Vec::new(), Vec::new());
    let mut main =
        Main { files, sources, found, paths: &mut paths, empty_includes: &mut empty_includes };
    let (of_manifest, of_catalog) = (main.open(manifest), main.open(catalog));
    let (first, second) = both(main.sources, of_manifest.flatten(), of_catalog.flatten());
    let (manifests, lost_manifest) = match of_manifest {
        Some(_) => main.read::<Manifest>(manifest, first),
        None => {
            let message = format!("`{manifest}` is not in the planned tree");
            let help = "a repository's lanes are declared there; commit the file, or name another \
                        with `--manifest`";
            main.found.push(Diagnostic::without_place(&codes::MISSING_FILE, message).help(help));
            (Vec::new(), false)
        }
    };
    let no_catalog = of_catalog.is_none();
    let (catalogs, lost_catalog) = match of_catalog {
        Some(_) => main.read::<CatalogFile>(catalog, second),
        None => (Vec::new(), false),
    };
    let built_in = main.sources.add("built-in bases", BASES);
    let (bases, _) = decode::read::<CatalogFile>(main.sources, built_in, main.found);
    let bases = bases.into_iter().map(|file| Part { file, under: None });
    let catalogs = bases.chain(catalogs).collect();
    Written {
        manifests,
        catalogs,
        paths,
        empty_includes,
        no_catalog,
        lost_manifest,
        lost_catalog,
        groups: Groups::default(),
    }
}

/// What came of a text.
struct Decoded<T> {
    file: Option<T>,
    /// Whether elements were lost.
    lost: bool,
    found: Vec<Diagnostic>,
}

fn decode<T: Decode>(sources: &Sources, id: SourceId) -> Decoded<T> {
    let mut found = Vec::new();
    let (file, lost) = decode::read(sources, id, &mut found);
    Decoded { file, lost, found }
}

/// From so many bytes on, a text is worth a thread of its own.
const ENOUGH_FOR_A_THREAD: usize = 64 * 1024;

/// Decodes the two main files, side by side where both are large.
fn both<A: Decode, B: Decode + Send>(
    sources: &Sources,
    first: Option<SourceId>,
    second: Option<SourceId>,
) -> (Option<Decoded<A>>, Option<Decoded<B>>) {
    let large = |id: SourceId| sources.text(id).len() >= ENOUGH_FOR_A_THREAD;
    match (first, second) {
        (Some(first), Some(second)) if large(first) && large(second) => thread::scope(|scope| {
            let other = scope.spawn(|| decode(sources, second));
            let first = decode(sources, first);
            (Some(first), Some(other.join().expect("decoding does not panic")))
        }),
        (first, second) => {
            (first.map(|id| decode(sources, id)), second.map(|id| decode(sources, id)))
        }
    }
}

/// Decodes included files, a share of them on each thread; in their order.
fn all<T: Decode + Send>(sources: &Sources, ids: &[SourceId]) -> Vec<Decoded<T>> {
    let bytes: usize = ids.iter().map(|id| sources.text(*id).len()).sum();
    let threads = thread::available_parallelism().map_or(1, usize::from).min(4);
    let threads = threads.min(bytes / ENOUGH_FOR_A_THREAD).max(1);
    let decode = |share: &[SourceId]| share.iter().map(|id| decode(sources, *id)).collect();
    let share = ids.len().div_ceil(threads).max(1);
    let mut shares = ids.chunks(share);
    let first = shares.next().unwrap_or_default();
    thread::scope(|scope| {
        let others: Vec<_> = shares.map(|share| scope.spawn(move || decode(share))).collect();
        let mut decoded: Vec<Decoded<T>> = decode(first);
        for other in others {
            decoded.append(&mut other.join().expect("decoding does not panic"));
        }
        decoded
    })
}

/// Returns the `default_branch` that a manifest seems to name, found in its first lines: keys of
/// the root stand before the first table. A guess; [`crate::load`] has the answer.
#[must_use]
pub fn likely_default_branch(manifest: &str) -> Option<String> {
    let root = manifest.find("\n[").map_or(manifest, |end| &manifest[..end]);
    let (root, _) = DeTable::parse_recoverable(root);
    match root.get_ref().get("default_branch")?.get_ref() {
        DeValue::String(name) => Some(name.clone().into_owned()),
        _ => None,
    }
}

struct Main<'a> {
    files: &'a dyn Files,
    sources: &'a mut Sources,
    found: &'a mut Vec<Diagnostic>,
    paths: &'a mut Vec<String>,
    empty_includes: &'a mut Vec<Span>,
}

impl Main<'_> {
    /// Makes parts of a main file, if it could be opened, and of what it includes. The flag is
    /// whether anything was lost.
    fn read<T: Includes + Send>(
        &mut self,
        path: &str,
        main: Option<Decoded<T>>,
    ) -> (Vec<Part<T>>, bool) {
        let Some(Decoded { file, mut lost, found }) = main else { return (Vec::new(), true) };
        self.found.extend(found);
        let Some(file) = file else { return (Vec::new(), true) };
        if !self.version_is_ours(&file, true) {
            return (Vec::new(), true);
        }
        if let Some(under) = file.under() {
            let message = "`under` is for included files";
            let help = "globs of the main file are relative to the repository's root";
            self.found.push(Diagnostic::error(&codes::BAD_VALUE, under.span, message).help(help));
        }
        let (mut sources, mut asked) = (Vec::new(), Vec::new());
        for (path, at) in self.included(file.include().unwrap_or_default(), path) {
            match self.open(&path) {
                Some(Some(source)) => {
                    sources.push(source);
                    asked.push(at);
                }
                _ => lost = true,
            }
        }
        let mut parts = vec![Part { file, under: None }];
        for (included, at) in all::<T>(self.sources, &sources).into_iter().zip(asked) {
            self.found.extend(included.found);
            lost |= included.lost;
            let Some(included) = included.file else { continue };
            if self.version_is_ours(&included, false) {
                parts.push(self.part(included, at));
            } else {
                lost = true;
            }
        }
        (parts, lost)
    }

    /// Adds a file of the tree to the sources. Outer nothing: it does not exist; inner nothing: it
    /// cannot be read, which is told.
    fn open(&mut self, path: &str) -> Option<Option<SourceId>> {
        let why = match self.files.read(path) {
            Ok(None) => return None,
            Ok(Some(bytes)) => {
                self.paths.push(path.to_owned());
                match String::from_utf8(bytes) {
                    Ok(text) => return Some(Some(self.sources.add(path, text))),
                    Err(error) => {
                        let at = error.utf8_error().valid_up_to();
                        let line =
                            error.as_bytes()[..at].iter().filter(|&&byte| byte == b'\n').count();
                        format!("line {} is not UTF-8", line + 1)
                    }
                }
            }
            Err(error) => error.to_string(),
        };
        let message = format!("`{path}` cannot be read: {why}");
        self.found.push(Diagnostic::without_place(&codes::UNREADABLE_FILE, message));
        Some(None)
    }

    fn version_is_ours<T: Includes>(&mut self, file: &T, main: bool) -> bool {
        match file.version() {
            Some(version) if version.value == 1 => true,
            Some(version) => {
                let message = format!(
                    "version {} of this format is not known, this program reads version 1",
                    version.value
                );
                let code = &codes::UNSUPPORTED_VERSION;
                self.found.push(
                    Diagnostic::error(code, version.span, message)
                        .help("use a planner that reads it, or write `version = 1`"),
                );
                false
            }
            None if main && file.table().intact => {
                let message = "the key `version` is missing";
                self.found.push(
                    Diagnostic::error(&codes::MISSING_KEY, first_line(file.table().span), message)
                        .help("write `version = 1` at the top of the file"),
                );
                true
            }
            None => true,
        }
    }

    /// Returns the included paths, each once, sorted, and where they are asked for.
    fn included(&mut self, globs: &[At<String>], main: &str) -> Vec<(String, Span)> {
        let mut paths: Vec<(String, Span)> = Vec::new();
        for text in globs {
            let glob = match Glob::new(text) {
                Ok(glob) => glob,
                Err(problem) => {
                    self.found.push(bad_glob(self.sources, text, &problem));
                    continue;
                }
            };
            match self.files.matching(&glob) {
                Ok(matching) => {
                    let found = matching.into_iter().filter(|path| path != main);
                    let before = paths.len();
                    paths.extend(found.map(|path| (path, text.span)));
                    let literal = !text.contains(['*', '?', '[', '{']);
                    if paths.len() == before && text.value == main {
                        let message = format!("`{main}` does not include itself");
                        let code = &codes::BAD_VALUE;
                        let help = "take it out of `include`";
                        self.found.push(Diagnostic::error(code, text.span, message).help(help));
                    } else if paths.len() == before && !literal {
                        self.empty_includes.push(text.span);
                    } else if paths.len() == before {
                        let message = format!("`{}` is not in the planned tree", text.value);
                        let code = &codes::MISSING_FILE;
                        self.found.push(
                            Diagnostic::error(code, text.span, message)
                                .help("commit the file, or take it out of `include`"),
                        );
                    }
                }
                Err(error) => {
                    let message = format!("the planned tree cannot be listed: {error}");
                    let code = &codes::UNREADABLE_FILE;
                    self.found.push(Diagnostic::error(code, text.span, message));
                }
            }
        }
        paths.sort();
        paths.dedup_by(|b, a| a.0 == b.0);
        paths
    }

    fn part<T: Includes>(&mut self, file: T, asked: Span) -> Part<T> {
        if let Some(include) = file.include().and_then(<[_]>::first) {
            let message = "an included file cannot include further files";
            self.found.push(
                Diagnostic::error(&codes::BAD_VALUE, include.span, message)
                    .also(asked, "included here")
                    .help("put the glob into the main file's `include`"),
            );
        }
        for (key, span) in file.main_only() {
            let message = format!("only the main file sets `{key}`");
            self.found.push(
                Diagnostic::error(&codes::BAD_VALUE, span, message)
                    .also(asked, "included here")
                    .help("move the key there"),
            );
        }
        let mut under = None;
        if let Some(written) = file.under() {
            let text = written.value.trim_end_matches('/');
            if plans::WorkspacePath::new(text).is_err()
                || text.contains(['*', '?', '[', '{', '}', '\\'])
            {
                let message = format!(
                    "`under` must be a directory of the repository, not `{}`",
                    shorten(&written.value)
                );
                let help = "write it relative to the root and without glob signs, such as \
                            `projects/p1`";
                let code = &codes::BAD_VALUE;
                self.found.push(Diagnostic::error(code, written.span, message).help(help));
            } else {
                under = Some(text.to_owned());
            }
        }
        Part { file, under }
    }
}

/// The start of a file, for what is missing in all of it.
fn first_line(whole: Span) -> Span {
    Span { end: whole.start, ..whole }
}

/// A glob of a form that is not allowed, pointing at the part that is wrong.
pub(crate) fn bad_glob(
    sources: &Sources,
    text: &At<String>,
    problem: &crate::glob::GlobProblem,
) -> Diagnostic {
    let written = sources.snippet(text.span);
    // Where the text has escapes, offsets differ: the whole string is shown.
    let plain = written.len() == text.len() + 2 && written[1..].starts_with(text.as_str());
    let span = if plain && !problem.at.is_empty() {
        let start = text.span.start as usize + 1;
        Span::new(text.span.source, start + problem.at.start..start + problem.at.end)
    } else {
        text.span
    };
    let message = format!("bad glob `{}`: {}", shorten(text), problem.what);
    Diagnostic::error(&codes::BAD_GLOB, span, message).help(problem.help.clone())
}

/// Reads `invariants.toml`; `name` is what diagnostics call it.
///
/// # Errors
///
/// Every problem of the file.
pub fn read_invariants(
    name: &str,
    text: &str,
) -> Result<(InvariantsFile, Sources), crate::Diagnostics> {
    let (file, sources, mut found) = read_one::<InvariantsFile>(name, text);
    if let Some(file) = &file
        && file.version.value != 1
    {
        let message = format!(
            "version {} of this format is not known, this program reads version 1",
            file.version.value
        );
        found.push(Diagnostic::error(&codes::UNSUPPORTED_VERSION, file.version.span, message));
    }
    match file {
        Some(file) if found.is_empty() => Ok((file, sources)),
        _ => Err(crate::Diagnostics::new(sources, found)),
    }
}

/// Reads a scenario; `name` is what diagnostics call it.
///
/// # Errors
///
/// Every problem of the file, paths that are not inside a repository included.
pub fn read_scenario(
    name: &str,
    text: &str,
) -> Result<(ScenarioFile, Sources), crate::Diagnostics> {
    let (file, sources, mut found) = read_one::<ScenarioFile>(name, text);
    for change in file.iter().flat_map(|file| file.changes.iter().flatten()) {
        let (path, span) = change.path();
        if let Err(error) = plans::RepoPath::new(path.as_bytes()) {
            found.push(Diagnostic::error(&codes::BAD_VALUE, span, error.to_string()));
        }
    }
    if let Some(at) = file.as_ref().and_then(|file| file.trigger.as_ref())
        && at.value.0 == plans::Trigger::Manual
    {
        let message = "a scenario is about changes, and `manual` runs only what flags name";
        found.push(
            Diagnostic::error(&codes::BAD_VALUE, at.span, message)
                .help("write `\"branch\"` or `\"nightly\"`"),
        );
    }
    match file {
        Some(file) if found.is_empty() => Ok((file, sources)),
        _ => Err(crate::Diagnostics::new(sources, found)),
    }
}

fn read_one<T: Decode>(name: &str, text: &str) -> (Option<T>, Sources, Vec<Diagnostic>) {
    let mut sources = Sources::default();
    let mut found = Vec::new();
    let id = sources.add(name, text);
    let (file, _) = decode::read(&sources, id, &mut found);
    (file, sources, found)
}
