//! npm, pnpm, yarn and bun packages.
//!
//! | room | owns |
//! | --- | --- |
//! | [`read`] | the packages of a tree and where every dependency leads |
//! | [`workspace`] | what a workspace's root says for all: catalogs, overrides, settings, locks |
//! | [`manager`] | which package managers a workspace may be of |
//! | [`patterns`] | workspace patterns in each manager's dialect |
//! | [`glob`] | what one pattern matches |
//! | [`spec`] | what a dependency's version text asks for |
//! | [`overrides`] | overrides and resolutions, wherever they are written |
//! | [`lock`] | lock files, one file per format |
//!
//! Not looked at: `tsconfig.json` (`references`, `extends`), bundlers' settings and `require` of a
//! path out of the package. A lane names those in `paths`.

mod glob;
mod lock;
mod manager;
mod overrides;
mod patterns;
mod read;
mod spec;
#[cfg(test)]
mod tests;
mod workspace;

use lanes::PackageKind;

pub(crate) use self::lock::plain_json;
#[cfg(test)]
pub(crate) use self::lock::tests::FILES as LOCK_FILES;
use super::Kind;

/// A package's manifest.
const NAME: &str = "package.json";
/// The same for pnpm.
const NAME_YAML: &str = "package.yaml";

/// How packages of npm, pnpm, yarn and bun are read.
pub(crate) const KIND: Kind = Kind {
    kind: PackageKind::Npm,
    manifest: NAME,
    watched: &["**/package.json", "**/package.yaml", "**/pnpm-workspace.yaml", "**/.yarnrc.yml"],
    read: read::read,
    lock: lock::read,
};
