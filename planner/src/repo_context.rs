//! The context of a request: the repository or directory, head, the planned tree, and what changed.

use std::path::{Path, PathBuf};

use lanes::Catalog;
use plans::{
    BaseFrom, BaseMode, CacheScope, Change, ChangeSource, ObjectId as PlanObjectId, ScenarioName,
    Source, Trigger,
};

use crate::{
    ChangesFrom, DefinitionPaths, PlanningError, Request,
    change_set::{ChangeSet, ChangedFilesError, parse_changed_files},
    event::Event,
    git::{self, Base, BaseContext, BaseSearch, GitError, Head, Note, ObjectId, Repository},
    packages,
    planned_tree::{DefinitionFiles, Inputs, PlannedTree},
    select::Scope,
    shards,
};

/// Why there is nothing to plan from.
#[derive(Debug, thiserror::Error)]
pub enum RepoContextError {
    /// Git has no answer.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The list of changes is none.
    #[error(transparent)]
    ChangedFiles(#[from] ChangedFilesError),
}

impl RepoContextError {
    /// Returns what to do about it.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::Git(error) => error.help(),
            Self::ChangedFiles(error) => error.help().to_owned(),
        }
    }
}

/// The repository or directory, and what of it is planned.
pub struct RepoContext {
    repository: Option<Repository>,
    head: Option<Head>,
    tree: Option<ObjectId>,
    root: PathBuf,
    worktree: bool,
    /// What is worth saying so far.
    pub notes: Vec<Note>,
}

/// What changed, and how that is known.
#[derive(Debug)]
pub struct Changed {
    /// Base, head and tree, or the scenario.
    pub source: Source,
    /// The change set, sorted by path.
    pub changes: Vec<Change>,
    /// The tree of each base; none where there is nothing to compare definitions with.
    pub base_trees: Vec<ObjectId>,
    /// The base is the empty tree: every definition is new.
    pub base_is_empty: bool,
    /// Which changes decide.
    pub scope: Scope,
    /// A list of paths satisfies every `statuses`.
    pub any_status: bool,
    /// What a reviewer should know.
    pub note: Option<String>,
    /// Notes for stderr.
    pub notes: Vec<Note>,
}

impl RepoContext {
    /// Opens the repository and finds head; without git, the directory stands for both.
    ///
    /// # Errors
    ///
    /// [`RepoContextError`]. A list of changed files and a scenario need no repository.
    pub fn open(request: &Request) -> Result<Self, RepoContextError> {
        let without_git =
            matches!(request.changes, ChangesFrom::List(_) | ChangesFrom::Scenario { .. })
                && request.head.is_none()
                && !request.worktree;
        match Self::open_git(request) {
            Ok(context) => Ok(context),
            Err(error) if without_git => Ok(Self {
                repository: None,
                head: None,
                tree: None,
                root: git::root_of(&request.dir).unwrap_or_else(|| request.dir.clone()),
                worktree: false,
                notes: vec![Note::Info(format!(
                    "{error}; planning the files of `{}`, which cannot be applied",
                    request.dir.display()
                ))],
            }),
            Err(error) => Err(error.into()),
        }
    }

    fn open_git(request: &Request) -> Result<Self, GitError> {
        let mut repository = Repository::open(&request.dir)?;
        let head = repository.head(request.head.as_deref())?;
        let tree = if request.worktree { repository.read_work_tree()? } else { head.tree };
        let root = repository.work_dir().unwrap_or(&request.dir).to_owned();
        let (worktree, notes) = (request.worktree, Vec::new());
        Ok(Self {
            repository: Some(repository),
            head: Some(head),
            tree: Some(tree),
            root,
            worktree,
            notes,
        })
    }

    /// Opens the same place once more, for another thread. A work tree that has been read has
    /// trees that only its own [`Repository`] knows.
    pub(crate) fn again(&self, dir: &Path) -> Option<impl FnOnce() -> Option<Self> + Send> {
        if self.repository.is_none() || self.worktree {
            return None;
        }
        let (dir, head, tree) = (dir.to_owned(), self.head.clone(), self.tree);
        let root = self.root.clone();
        Some(move || {
            let repository = Some(Repository::open(&dir).ok()?);
            Some(Self { repository, head, tree, root, worktree: false, notes: Vec::new() })
        })
    }

    /// Returns the repository, head and the planned tree; nothing where a directory stands for them.
    pub(crate) fn in_git(&self) -> Option<(&Repository, &Head, ObjectId)> {
        Some((self.repository.as_ref()?, self.head.as_ref()?, self.tree?))
    }

    /// Returns the root of the work tree, or the directory that stands for it.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the tree being planned.
    #[must_use]
    pub fn planned_tree(&self) -> PlannedTree<'_> {
        match (&self.repository, self.tree) {
            (Some(repository), Some(tree)) => PlannedTree::Git { repository, tree },
            _ => PlannedTree::Directory(self.root.clone()),
        }
    }

    /// Returns another tree of the same repository.
    #[must_use]
    pub fn tree(&self, tree: ObjectId) -> Option<PlannedTree<'_>> {
        self.repository.as_ref().map(|repository| PlannedTree::Git { repository, tree })
    }

    /// Reads manifest and catalog, and says which files they are made of.
    ///
    /// # Errors
    ///
    /// [`PlanningError`] with every problem of the files, or that a file cannot be read.
    pub fn definitions(&self, paths: &DefinitionPaths) -> Result<(Catalog, Inputs), PlanningError> {
        read_definitions(&self.planned_tree(), paths)
    }

    /// Finds the base and what differs from it, or takes the changes that the request brings.
    ///
    /// # Errors
    ///
    /// [`RepoContextError`], unless the request wants everything to run then.
    pub fn changes(
        &self,
        request: &Request,
        default_branch: Option<&str>,
    ) -> Result<Changed, RepoContextError> {
        match &request.changes {
            ChangesFrom::Scenario { name, changes } => {
                Ok(scenario(request.wanted.trigger, name, changes))
            }
            ChangesFrom::List(list) => {
                let changes = parse_changed_files(list)?.into_vec();
                let mut changed = self.without_base(BaseMode::ChangedFiles, Scope::Changes);
                changed.changes = changes;
                changed.any_status = true;
                Ok(changed)
            }
            ChangesFrom::All => Ok(self.without_base(BaseMode::All, Scope::All)),
            ChangesFrom::Base(_) if request.is_nightly() => {
                Ok(self.without_base(BaseMode::All, Scope::All))
            }
            ChangesFrom::Base(wanted) => {
                let (Some(repository), Some(head), Some(tree)) =
                    (&self.repository, &self.head, self.tree)
                else {
                    unreachable!("only a list or a scenario stands without git");
                };
                if let Some(event) = request.schedule() {
                    return Ok(self.scheduled(event));
                }
                let search =
                    repository.find_base(head, wanted, &base_context(request, default_branch));
                let found = search.found.and_then(|base| {
                    let changes = match base.mode {
                        BaseMode::Unknown => ChangeSet::default(),
                        _ => repository.changes(&base, tree)?,
                    };
                    Ok((changes, base))
                });
                match found {
                    Ok((_, base)) if base.mode == BaseMode::Unknown => Ok(self.everything(base)),
                    Ok((changes, base)) => self.against(repository, base, changes.into_vec()),
                    Err(error) if request.run_all_on_unknown_base => {
                        let because = format!("the base is not known: {error}");
                        let mut changed = self
                            .without_base(BaseMode::Unknown, Scope::UnknownBase(because.clone()));
                        changed.notes = search.notes;
                        changed.notes.push(Note::Warning(format!("{because}; everything runs")));
                        changed.note = Some(because);
                        Ok(changed)
                    }
                    Err(error) => Err(error.into()),
                }
            }
        }
    }

    /// Looks for the base alone, and says what was considered; nothing without git, and where the
    /// request brings its changes. A schedule and the nightly trigger are not asked about here.
    #[must_use]
    pub fn base_search(
        &self,
        request: &Request,
        default_branch: Option<&str>,
    ) -> Option<BaseSearch> {
        let (Some(repository), Some(head), ChangesFrom::Base(wanted)) =
            (&self.repository, &self.head, &request.changes)
        else {
            return None;
        };
        Some(repository.find_base(head, wanted, &base_context(request, default_branch)))
    }

    /// Says of which branch the plan is; nothing where that is not known. What nobody has committed is not of the
    /// default branch.
    #[must_use]
    pub fn cache_scope(&self, request: &Request) -> Option<CacheScope> {
        let (repository, head, _) = self.in_git()?;
        let scope = repository.cache_scope(head, &base_context(request, None));
        scope.filter(|scope| !self.worktree || *scope != CacheScope::DefaultBranch)
    }

    /// Every lane of the trigger: a clock started the run, and nothing changed.
    fn scheduled(&self, event: &Event) -> Changed {
        let mut changed = self.without_base(BaseMode::All, Scope::All);
        if let Source::Change(source) = &mut changed.source {
            source.base_from = BaseFrom::new(event.step()).ok();
        }
        let note = format!("base: {}: none, the trigger decides", event.step());
        changed.notes.push(Note::Info(note));
        changed
    }

    /// Every lane: what the event brought cannot be told.
    fn everything(&self, base: Base) -> Changed {
        let why = base.trail.last().map_or_else(String::new, |step| step.why.clone());
        let because = format!("the base is not known: {why}");
        let mut changed = self.without_base(BaseMode::Unknown, Scope::UnknownBase(because.clone()));
        if let Source::Change(source) = &mut changed.source {
            source.base_from = Some(base.from);
        }
        changed.note = Some(because);
        changed.notes = base.notes;
        changed
    }

    fn against(
        &self,
        repository: &Repository,
        base: Base,
        changes: Vec<Change>,
    ) -> Result<Changed, RepoContextError> {
        let mut base_trees = Vec::new();
        for &commit in &base.commits {
            base_trees.push(repository.tree_of(commit)?);
        }
        let mode = base.mode;
        let mut changed = self.without_base(mode, Scope::Changes);
        if let Source::Change(source) = &mut changed.source {
            source.base = base.commit().map(plan_id);
            source.base_from = Some(base.from);
        }
        if base.commits.len() > 1 {
            const SHOWN: usize = 8;
            let shown = base.commits.iter().take(SHOWN).map(ToString::to_string);
            let mut commits = shown.collect::<Vec<String>>().join(", ");
            if base.commits.len() > SHOWN {
                commits.push_str(", …");
            }
            changed.note = Some(format!(
                "{} bases: the changes against each of {commits} are planned",
                base.commits.len(),
            ));
        }
        changed.base_is_empty = base.commits.is_empty();
        changed.base_trees = base_trees;
        changed.notes = base.notes;
        changed.changes = changes;
        Ok(changed)
    }

    pub(crate) fn without_base(&self, base_mode: BaseMode, scope: Scope) -> Changed {
        Changed {
            source: Source::Change(ChangeSource {
                base: None,
                head: self.head.as_ref().map(|head| plan_id(head.commit)),
                tree: self.tree.map(plan_id),
                base_mode,
                worktree: self.worktree,
                base_from: None,
                passed: None,
                cache_scope: None,
            }),
            changes: Vec::new(),
            base_trees: Vec::new(),
            base_is_empty: false,
            scope,
            any_status: false,
            note: None,
            notes: Vec::new(),
        }
    }
}

fn base_context<'a>(request: &'a Request, default_branch: Option<&'a str>) -> BaseContext<'a> {
    BaseContext { default_branch, remote: request.remote.as_deref(), event: request.event.as_ref() }
}

/// Reads the definitions of a tree, and says which files they are made of.
pub(crate) fn read_definitions(
    tree: &PlannedTree<'_>,
    paths: &DefinitionPaths,
) -> Result<(Catalog, Inputs), PlanningError> {
    read_definitions_with(tree, paths, None)
}

/// The same, with other bytes in the place of the manifest.
pub(crate) fn read_definitions_with(
    tree: &PlannedTree<'_>,
    paths: &DefinitionPaths,
    manifest: Option<Vec<u8>>,
) -> Result<(Catalog, Inputs), PlanningError> {
    let mut files = DefinitionFiles::new(tree);
    if let Some(bytes) = manifest {
        files.replace(&paths.manifest, bytes);
    }
    let mut catalog = lanes::load(&files, &paths.manifest, &paths.catalog)
        .map_err(|found| PlanningError::Definitions(Box::new(found)))?;
    packages::derive(&mut catalog, &files)?;
    shards::derive(&mut catalog, &files)?;
    Ok((catalog, files.into_inputs()))
}

/// What a scenario says has changed. A nightly run without changes is all of it.
pub(crate) fn scenario(trigger: Trigger, name: &ScenarioName, changes: &[Change]) -> Changed {
    let mut changes = changes.to_vec();
    changes.sort();
    changes.dedup();
    let everything = trigger == Trigger::Nightly && changes.is_empty();
    Changed {
        source: Source::Scenario(name.clone()),
        changes,
        base_trees: Vec::new(),
        base_is_empty: false,
        scope: if everything { Scope::All } else { Scope::Changes },
        any_status: false,
        note: None,
        notes: Vec::new(),
    }
}

fn plan_id(id: ObjectId) -> PlanObjectId {
    PlanObjectId::new(id.to_string()).expect("git's ids are hexadecimal")
}
