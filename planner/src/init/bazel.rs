//! Bazel workspaces: every test. Which tests a change concerns, Bazel itself knows.

use super::{
    Project,
    draft::{CommandDraft, Draft, JobDraft, LaneDraft},
    named, working_dir,
};

pub(super) fn draft(project: &Project<'_>, draft: &mut Draft) {
    for top in project.tops(&["MODULE.bazel", "WORKSPACE.bazel", "WORKSPACE"]) {
        let id = draft.fresh_id(&named("bazel", &top));
        draft.push(LaneDraft {
            comment: vec![
                "Bazel finds out itself what a change concerns, so this lane always runs; with its"
                    .to_owned(),
                "cache it does little. `paths` narrows it where whole directories do not matter."
                    .to_owned(),
            ],
            description: "Tests of the Bazel workspace".to_owned(),
            jobs: vec![JobDraft {
                id: format!("{id}-tests"),
                description: "bazel test".to_owned(),
                command: CommandDraft::argv(&["bazel", "test", "//..."]),
                working_dir: working_dir(&top),
                ..JobDraft::default()
            }],
            id,
            ..LaneDraft::default()
        });
    }
}
