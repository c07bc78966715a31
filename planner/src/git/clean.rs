//! What git would store for a file of the work tree: its content after the clean filters.
//!
//! libgit2 filters a file only on its way into an object database, so there is one here that exists
//! in memory alone: the repository's own objects are merely alternates of it, which are never
//! written to. Line endings, `eol`, `text` and `ident` come out as git's do. A program named by a
//! `filter` attribute (git-lfs) and a `working-tree-encoding` are not ours to run: such a file is
//! refused rather than given an id that git would not give it.

use std::{ffi::OsStr, fs, io, os::unix::ffi::OsStrExt, path::Path};

use git2::{AttrCheckFlags, AttrValue, Config, Mempack, ObjectType, Odb, Oid, RepositoryOpenFlags};

use super::{GitError, error::shown, other};

/// Reads files as git would store them.
pub(super) struct Clean<'a> {
    root: &'a Path,
    /// The repository once more, its objects going to memory.
    scratch: &'a git2::Repository,
    odb: &'a Odb<'a>,
    memory: Mempack<'a>,
    config: Config,
    /// Whether files without any attribute may have their line endings changed.
    converts_by_default: bool,
}

/// Attributes by which libgit2 changes content.
const CONVERTING: [&str; 4] = ["text", "eol", "crlf", "ident"];

impl Clean<'_> {
    /// Gives `work` a reader for the work tree of `repository`.
    pub(super) fn with<T>(
        repository: &git2::Repository,
        work: impl FnOnce(&Clean<'_>) -> Result<T, GitError>,
    ) -> Result<T, GitError> {
        let root = repository
            .workdir()
            .ok_or_else(|| GitError::NoWorkTree { dir: repository.path().to_owned() })?;
        let failed = |error: git2::Error| other("opening the work tree", &error);
        let none: [&Path; 0] = [];
        let scratch = git2::Repository::open_ext(root, RepositoryOpenFlags::NO_SEARCH, none)
            .map_err(failed)?;
        let odb = Odb::new().map_err(failed)?;
        // Whether line endings are kept depends on what the index holds: those blobs are needed.
        if let Some(objects) = repository.commondir().join("objects").to_str() {
            odb.add_disk_alternate(objects).map_err(failed)?;
        }
        let memory = odb.add_new_mempack_backend(1000).map_err(failed)?;
        scratch.set_odb(&odb).map_err(failed)?;
        let config = scratch.config().and_then(|mut config| config.snapshot()).map_err(failed)?;
        let converts_by_default =
            config.get_string("core.autocrlf").is_ok_and(|value| !is_false(&value));
        work(&Clean { root, scratch: &scratch, odb: &odb, memory, config, converts_by_default })
    }

    /// The root of the work tree.
    pub(super) fn root(&self) -> &Path {
        self.root
    }

    /// A boolean of git's configuration.
    pub(super) fn setting(&self, name: &str, default: bool) -> bool {
        self.config.get_bool(name).unwrap_or(default)
    }

    /// The id that a regular file's content would have.
    pub(super) fn id(&self, path: &[u8]) -> Result<Oid, GitError> {
        self.refuse_programs(path)?;
        if self.is_stored_as_it_is(path)? {
            let file = self.root.join(OsStr::from_bytes(path));
            return Oid::hash_file(ObjectType::Blob, file).map_err(|e| unreadable(path, &e));
        }
        let id = self.store(path)?;
        self.forget()?;
        Ok(id)
    }

    /// A regular file's content as it would be stored.
    pub(super) fn content(&self, path: &[u8]) -> Result<Vec<u8>, GitError> {
        self.refuse_programs(path)?;
        let id = self.store(path)?;
        let content = self.odb.read(id).map(|object| object.data().to_vec());
        self.forget()?;
        content.map_err(|error| other("reading a file of the work tree", &error))
    }

    /// A symbolic link's content: its target.
    #[expect(clippy::disallowed_methods, reason = "the work tree is the input that was asked for")]
    pub(super) fn link_target(&self, path: &[u8]) -> Result<Vec<u8>, GitError> {
        match fs::read_link(self.root.join(OsStr::from_bytes(path))) {
            Ok(target) => Ok(target.as_os_str().as_bytes().to_vec()),
            Err(source) => Err(GitError::WorkTreeFile { path: shown(path), source }),
        }
    }

    /// What the disk says about a path; nothing if it is not there, or below a symbolic link.
    #[expect(clippy::disallowed_methods, reason = "the work tree is the input that was asked for")]
    pub(super) fn metadata(&self, path: &[u8]) -> Result<Option<fs::Metadata>, GitError> {
        let failed = |source| GitError::WorkTreeFile { path: shown(path), source };
        let mut above = self.root.to_owned();
        let mut components = path.split(|&byte| byte == b'/').peekable();
        while let Some(component) = components.next() {
            above.push(OsStr::from_bytes(component));
            let metadata = match fs::symlink_metadata(&above) {
                Ok(metadata) => metadata,
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                    ) =>
                {
                    return Ok(None);
                }
                Err(error) => return Err(failed(error)),
            };
            if components.peek().is_none() {
                return Ok(Some(metadata));
            }
            if !metadata.is_dir() {
                return Ok(None);
            }
        }
        Ok(None)
    }

    fn store(&self, path: &[u8]) -> Result<Oid, GitError> {
        let file = self.root.join(OsStr::from_bytes(path));
        self.scratch.blob_path(&file).map_err(|error| unreadable(path, &error))
    }

    /// Frees the memory of what was stored.
    fn forget(&self) -> Result<(), GitError> {
        self.memory.reset().map_err(|error| other("reading a file of the work tree", &error))
    }

    /// Whether no filter of libgit2's touches the file, so that its content need not be held.
    fn is_stored_as_it_is(&self, path: &[u8]) -> Result<bool, GitError> {
        if self.converts_by_default {
            return Ok(false);
        }
        for name in CONVERTING {
            if self.attribute(path, name, |value| !matches!(value, AttrValue::Unspecified))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn refuse_programs(&self, path: &[u8]) -> Result<(), GitError> {
        let refused = |filter: String| GitError::Filter { path: shown(path), filter };
        let driver = self.attribute(path, "filter", text)?;
        if let Some(driver) = driver {
            let runs = |key| {
                let program = self.config.get_string(&format!("filter.{driver}.{key}"));
                program.is_ok_and(|program| !program.is_empty())
            };
            if runs("clean") || runs("process") {
                return Err(refused(format!("the filter `{driver}`")));
            }
        }
        let encoding = self.attribute(path, "working-tree-encoding", text)?;
        match encoding {
            Some(encoding) if !encoding.eq_ignore_ascii_case("utf-8") => {
                Err(refused(format!("the encoding `{encoding}`")))
            }
            _ => Ok(()),
        }
    }

    fn attribute<T>(
        &self,
        path: &[u8],
        name: &str,
        use_it: impl FnOnce(AttrValue<'_>) -> T,
    ) -> Result<T, GitError> {
        let path = Path::new(OsStr::from_bytes(path));
        let value = self
            .scratch
            .get_attr_bytes(path, name, AttrCheckFlags::default())
            .map_err(|error| other("reading the attributes", &error))?;
        Ok(use_it(AttrValue::from_bytes(value)))
    }
}

fn text(value: AttrValue<'_>) -> Option<String> {
    match value {
        AttrValue::String(text) => Some(text.to_owned()),
        AttrValue::Bytes(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        AttrValue::True | AttrValue::False | AttrValue::Unspecified => None,
    }
}

/// A boolean as git's configuration spells it; `input` and the like are not false.
fn is_false(value: &str) -> bool {
    ["false", "no", "off", "0", ""].iter().any(|word| value.eq_ignore_ascii_case(word))
}

fn unreadable(path: &[u8], error: &git2::Error) -> GitError {
    let source = io::Error::other(error.message().to_owned());
    GitError::WorkTreeFile { path: shown(path), source }
}
