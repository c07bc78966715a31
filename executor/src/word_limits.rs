//! What the kernel takes when a program is started, asked before anything is: a job whose words or variables are longer
//! cannot begin, wherever it runs.
//!
//! `execve(2)`: a word or a variable has at most 32 pages with its end (`MAX_ARG_STRLEN`), all of them together a
//! quarter of the stack's limit, which is 8 MiB unless somebody changed it.

use plans::Node;

use crate::guest_command;

/// Bytes of a word of a command line, or of a variable with its name and `=`.
const WORD: usize = 32 * 4096 - 1;

/// Bytes of all of them, with what the kernel counts for each.
const ALL: usize = 2 << 20;

/// Returns why a node cannot be started for its words and variables, its secrets apart.
#[must_use]
pub fn objections(node: &Node) -> Vec<String> {
    let argv = guest_command::argv(&node.spec.command);
    let mut found: Vec<String> = argv
        .iter()
        .filter(|word| word.len() > WORD)
        .map(|word| {
            format!(
                "its command has a word of {} bytes, a program can be given {WORD}; move it into a file of the \
                 repository",
                word.len()
            )
        })
        .collect();
    let env = &node.spec.env;
    found.extend(env.iter().filter_map(|(name, value)| variable(name.as_str(), value)));
    let words = argv.iter().map(String::len);
    let variables = env.iter().map(|(name, value)| name.as_str().len() + 1 + value.len());
    let all: usize = words.chain(variables).map(|length| length + 1 + size_of::<usize>()).sum();
    if found.is_empty() && all > ALL {
        found.push(format!(
            "its command and variables are {all} bytes, a program can be given {ALL}; move some into a file of the \
             repository"
        ));
    }
    found
}

/// Returns why a variable cannot be given to a program.
#[must_use]
pub fn variable(name: &str, value: &str) -> Option<String> {
    let length = name.len() + 1 + value.len();
    (length > WORD).then(|| {
        format!(
            "the variable `{name}` has {length} bytes with its name, a program can be given {WORD}; give it the path \
             of a file instead"
        )
    })
}
