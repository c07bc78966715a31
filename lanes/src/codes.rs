//! Every kind of problem in the files people write, with its cause and its remedy.
//!
//! This table is the error index: `planner check --explain CODE` prints from it, and every code
//! has one bad file under `tests/manifests/invalid/` that shows it.

/// A kind of problem.
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    /// The name, snake_case; never changes its meaning.
    pub name: &'static str,
    /// What leads to it.
    pub cause: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
}

macro_rules! codes {
    ($($constant:ident $name:literal, $cause:literal, $remedy:literal;)+) => {
        $(
            #[doc = concat!("`", $name, "`: ", $cause, " ", $remedy)]
            pub static $constant: Code = Code { name: $name, cause: $cause, remedy: $remedy };
        )+

        /// Every code of this crate, sorted by name.
        pub static ALL: &[&Code] = &[$(&$constant),+];
    };
}

codes! {
    AFTER_OTHER_TRIGGER "after_other_trigger",
        "A lane waits for a lane of another trigger; the two are never in one plan.",
        "Name a lane of the same list, or take the entry out.";
    BAD_GLOB "bad_glob",
        "A glob has a form that matches nothing, or something else than it seems to.",
        "Write it as the help says; `docs/` of the project lists the accepted forms.";
    BAD_ID "bad_id",
        "An id or name has a character that a directory, a label or a command line would not take.",
        "Use letters, digits, `.`, `_` and `-`, the first a letter or a digit.";
    BAD_TOML "bad_toml",
        "The file is not TOML.",
        "Mend the syntax at the place shown.";
    BAD_VALUE "bad_value",
        "A value has the right type but is out of range or of a wrong form.",
        "Write a value as the message describes it.";
    CONFLICTING_PREPARE "conflicting_prepare",
        "Two jobs ask for prepare work under one id, but the work differs.",
        "Make both the same, or give one another id (for payloads: another `prepare_node_prefix`).";
    CYCLE "cycle",
        "Jobs need each other, lanes wait for each other, or path sets hold each other, in a circle.",
        "Take one of the edges shown out.";
    DUPLICATE_ID "duplicate_id",
        "Two things of one kind have the same id.",
        "Rename one; ids are unique over all files.";
    EMPTY_MATRIX "empty_matrix",
        "A matrix has no combination, so the job would report success having run nothing.",
        "Give `matrix` a name with a value, or remove the keys of the matrix.";
    EMPTY_TARGET "empty_target",
        "A target has no job, so the lanes that name it would report success having run nothing.",
        "Add `[[targets.jobs]]` or `jobs_from`, or remove the target.";
    FILES_OVERLAP "files_overlap",
        "Files of needed jobs would appear at the same place of the workspace, or one below the other.",
        "Give each entry of `needs` an `at` of its own.";
    ID_CLASH "id_clash",
        "A lane with its own command has the id of a job; both would be the node `execute-<id>`.",
        "Rename one of the two.";
    INVALID_COMBINATION "invalid_combination",
        "Settings that are each valid cannot work together.",
        "Change one of them; the message says why they exclude each other.";
    MATRIX_COLLISION "matrix_collision",
        "Two combinations of a matrix have the same id, which is made of their values.",
        "Take one of the values out, or write them so that they differ in letters, digits, `.` or `_`.";
    MATRIX_IN_TEXT "matrix_in_text",
        "`${{ matrix.NAME }}` stands where no value is put in: in a shell's text, in a part of a word, in a key that is taken as it is written.",
        "Read the environment variable `MATRIX_NAME`, or let a whole word of the command be the name.";
    MATRIX_TOO_LARGE "matrix_too_large",
        "More than 256 jobs would come of one.",
        "Take values or shards out, leave combinations out with `matrix_exclude`, or write several jobs.";
    MISSING_BUILD_PAYLOAD "missing_build_payload",
        "A job has a `staged_command`, but its target builds no `workspace_build` payload to run it from.",
        "Add the payload to the target's `staged_linux`, or give the job a `command`.";
    MISSING_FILE "missing_file",
        "A file that is needed is not in the planned tree.",
        "Commit the file, or name the right one with `--manifest` or `--catalog`.";
    MISSING_KEY "missing_key",
        "A table lacks a key that has no default.",
        "Add the key.";
    MISSING_TIMEOUT "missing_timeout",
        "A job of the catalog has no `timeout_secs`, and neither has its base.",
        "Say how long the job may take; a hanging job would hold its machine for ever.";
    MULTIPLE_COMMANDS "multiple_commands",
        "A job has more than one command.",
        "Keep one of `command` and `staged_command`, and one form in `command`.";
    NEEDS_ITSELF "needs_itself",
        "A job names itself among its `needs`: it would wait for its own end, with `run_if` as well.",
        "Take the entry out, or name the job that was meant.";
    NO_COMMAND "no_command",
        "A job has nothing to run.",
        "Give it a `command` or a `staged_command`.";
    NO_SUCH_ARTIFACT "no_such_artifact",
        "`files` asks for what no `artifacts` glob of the needed job can name.",
        "Name the files in `artifacts` of the needed job, or correct the glob.";
    NO_TARGET_OR_COMMAND "no_target_or_command",
        "A lane has nothing to run.",
        "Give it a `target`, a `staged_linux_target` or a `command`.";
    NOT_STAGED_LINUX "not_staged_linux",
        "`staged_linux_target` names a target without a `staged_linux` table, or a job outside one has a `staged_command`.",
        "Name the target with `target`, or add `[targets.staged_linux]`.";
    OUTPUT_CLASH "output_clash",
        "Two outputs, or an output and a variable of the job, would be the same variable.",
        "Rename an output: letters become upper case, and every other character than letters and digits `_`.";
    TARGET_AND_COMMAND "target_and_command",
        "A lane says twice what it runs, or sets a job key though a target's jobs bring their own.",
        "Keep one of `target`, `staged_linux_target` and `command`.";
    UNKNOWN_BASE "unknown_base",
        "A job starts from a base that no file declares.",
        "Declare `[bases.NAME]`, or use one of the names in the help.";
    UNKNOWN_HOST "unknown_host",
        "A placement names a host that no file declares.",
        "Declare `[hosts.NAME]`.";
    UNKNOWN_JOB "unknown_job",
        "`needs` or `jobs_from` names a job that no target has.",
        "Use a job id of the catalog.";
    UNKNOWN_KEY "unknown_key",
        "A key has no meaning here; a typing error would otherwise be silence.",
        "Use one of the known keys.";
    UNKNOWN_LANE "unknown_lane",
        "`after` names a lane that no file has.",
        "Use a lane id of the manifest.";
    UNKNOWN_MATRIX_NAME "unknown_matrix_name",
        "`${{ … }}` or `matrix_exclude` names nothing that the job's matrix has.",
        "Use `${{ matrix.NAME }}` with a name of the job's own `matrix` or `matrix_include`.";
    UNKNOWN_PROFILE "unknown_profile",
        "A snapshot profile that no file declares.",
        "Declare `[snapshot_profiles.NAME]`, or use `full`.";
    UNKNOWN_SET "unknown_set",
        "`@name` is not one of the manifest's path sets.",
        "Declare it under `[path_sets]`.";
    UNKNOWN_TARGET "unknown_target",
        "A lane or a list names a target that no catalog file has.",
        "Use a target id of the catalog.";
    UNREADABLE_FILE "unreadable_file",
        "A file is there but cannot be read, or is not UTF-8.",
        "See the message; TOML is UTF-8.";
    UNSUPPORTED_VERSION "unsupported_version",
        "The file is written in a version of the format that this program does not read.",
        "Use a planner that reads it, or write `version = 1`.";
    WRONG_TYPE "wrong_type",
        "A value has another TOML type than its key takes.",
        "Write the type that the message names.";
}

/// Returns the code of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Code> {
    ALL.iter().copied().find(|code| code.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_says_everything() {
        assert!(ALL.is_sorted_by(|a, b| a.name < b.name));
        for code in ALL {
            assert!(code.cause.ends_with('.') && code.remedy.ends_with('.'), "{}", code.name);
            assert_eq!(find(code.name), Some(*code));
        }
    }
}
