//! The forms of texts, as far as a schema can say them: what stands behind `with` in the tables of
//! the files.
//!
//! A form refuses only what the reader refuses; what takes counting or knowing other files is the
//! reader's alone. `planner/tests/integration/schemas.rs` holds both against each other.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// A name of the user's choice, which becomes a word of ids and commands.
pub(crate) const NAME: &str = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$";

/// The code of a rule.
pub(crate) const RULE: &str = "^[a-z][a-z0-9_]*$";

/// The name of a value of a matrix.
pub(crate) const AXIS: &str = "^[A-Za-z_][A-Za-z0-9_-]{0,63}$";

/// The name of an environment variable.
pub(crate) const VARIABLE: &str = "^[A-Za-z_][A-Za-z0-9_]{0,199}$";

/// Returns what the keys of a table of names look like.
pub(crate) fn names_like(pattern: &str) -> Schema {
    json_schema!({ "pattern": pattern })
}

/// Forms of text that are a pattern.
macro_rules! patterns {
    ($($(#[$doc:meta])* $name:ident $pattern:expr;)+) => {$(
        $(#[$doc])*
        pub(crate) struct $name;

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    )+};
}

patterns! {
    /// The id or name of something.
    Name NAME;
    /// The name of an environment variable.
    Variable VARIABLE;
    /// The name of a value that a job leaves.
    OutputName "^[A-Za-z_][A-Za-z0-9_-]{0,63}$";
    /// A time of day, `HH:MM`.
    TimeOfDay "^([01][0-9]|2[0-3]):[0-5][0-9]$";
    /// The plain name of a branch.
    Branch "^(?![-/.])(?!refs/)(?!.*(\\.\\.|@\\{|//))[^\\x00-\\x20\\x7F~^:?*\\[\\\\]{0,199}\
            [^\\x00-\\x20\\x7F~^:?*\\[\\\\/.]$";
    /// A directory of the repository, without glob signs.
    Directory "^(?!/)(?!(.*/)?\\.{1,2}(/|$))(?!.*//.)[^*?\\[{}\\\\]+$";
    /// A path below the root of a tree.
    Below "^(?!/)(?!(.*/)?\\.{0,2}(/|$))";
    /// An absolute path of a machine or guest.
    Absolute "^/(?!(.*/)?\\.{0,2}(/|$))";
    /// A path below the workspace, or an absolute one of a guest.
    CachePath "^/?(?!(.*/)?\\.{0,2}(/|$))";
    /// What ssh connects to.
    SshDestination "^[A-Za-z0-9@._:/\\[\\]][A-Za-z0-9@._:/\\[\\]-]{0,254}$";
    /// A name that Incus or Tart knows.
    Engine "^[A-Za-z0-9][A-Za-z0-9._/:@+-]{0,254}$";
    /// A name of the user's choice, or one that values of a matrix are put into.
    FilledName "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$|\\$\\{\\{\\s*matrix\\.";
    /// A name that Incus or Tart knows, or one that values of a matrix are put into.
    FilledEngine "^[A-Za-z0-9][A-Za-z0-9._/:@+-]{0,254}$|\\$\\{\\{\\s*matrix\\.";
    /// The role of a payload.
    Role "^[a-z0-9_]{1,40}$";
    /// A name that no program reads as an option.
    Word "^[^-]";
    /// The name of a wrapper.
    Wrapper "^[A-Za-z0-9_+][A-Za-z0-9._+-]*$";
    /// A text in which something stands.
    Something "\\S";
}

/// A program and its arguments.
pub(crate) struct Words;

impl JsonSchema for Words {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Words".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "array", "items": { "type": "string" }, "minItems": 1 })
    }
}

/// A glob, or `@` and the name of a path set.
pub(crate) struct Glob;

impl JsonSchema for Glob {
    fn schema_name() -> Cow<'static, str> {
        "Glob".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // Behind a class or an escape a sign may be plain text, so most look no further than that.
        let never: Vec<Schema> = [
            ("the glob is empty", "^$"),
            ("paths have no `./` in front", "^\\./"),
            ("paths have no `/` in front", "^/"),
            ("`!` does not negate here: use `exclude`", "^!"),
            ("a path never ends in `/`: write `dir/**`", "/$"),
            (
                "no path has the component `.` or `..`, or an empty one",
                "/\\.{0,2}/|/\\.{1,2}$|^\\.\\./|^\\.{1,2}$",
            ),
            (
                "`**` is a whole component: write `src/**/*.rs`",
                "^[^\\[\\\\]*([A-Za-z0-9_.-]\\*\\*|\\*\\*[A-Za-z0-9_.-])",
            ),
            ("an alternative is empty", "^[^\\[\\\\]*\\{([^}\\[\\\\]*,)?[,}]"),
            (
                "a class is one ASCII character, and never `/`",
                "^[^\\[\\\\]*\\[[^\\]]*(/|[^\\x00-\\x7F])",
            ),
            ("the class is never closed", "^[^\\[\\\\]*\\[[^\\]]*$"),
            ("the `{` is never closed", "^[^\\[\\\\]*\\{[^}]*$"),
            ("no `{` belongs to the `}`", "^[^\\[\\\\{]*\\}"),
            ("extended globs are not known here: write `{a,b}`", "^[^\\[\\\\]*[@!]\\([^)]*\\)"),
            ("nothing follows the backslash", "(^|[^\\\\])\\\\$"),
        ]
        .into_iter()
        .map(|(title, pattern)| json_schema!({ "not": { "title": title, "pattern": pattern } }))
        .collect();
        json_schema!({
            "description": "A glob over paths from the repository's root, or `@` and the name of a path set.",
            "type": "string",
            "maxLength": crate::glob::MAX_LENGTH,
            "allOf": never,
        })
    }
}
