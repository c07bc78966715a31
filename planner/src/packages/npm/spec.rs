//! What a dependency's version text asks for.
//!
//! Owns the text alone; where a path leads and which package a name means is [`super::read`]'s.
//! Sources: npm's page `package.json`, pnpm's "Workspace" and "Catalogs", yarn's "Protocols", bun's
//! "Workspaces".

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Spec<'a> {
    /// A version of a package, under its own name or, by an alias, another one's.
    Named(&'a str),
    /// A file or directory, relative to the manifest that says so.
    Path(&'a str),
    /// An entry of a catalog, `default` if it is not named.
    Catalog(&'a str),
    /// The version that the root's manifest gives the package of that name (`$name`).
    OfRoot(&'a str),
    /// Another specification and the patches that are applied to it; `~/` is the workspace's root.
    Patched(String, Vec<String>),
    /// Something from elsewhere: git, a URL.
    Elsewhere,
}

const PATHS: [&str; 4] = ["file:", "link:", "portal:", "exec:"];

/// Reads what the dependency `key` asks for by `text`.
pub(super) fn read<'a>(key: &'a str, text: &'a str) -> Spec<'a> {
    let text = text.trim();
    if let Some(path) = PATHS.iter().find_map(|scheme| text.strip_prefix(scheme)) {
        return Spec::Path(path.split("::").next().unwrap_or(path));
    }
    if let Some(wanted) = text.strip_prefix("workspace:") {
        // `workspace:../ui`, `workspace:packages/ui` (yarn), `workspace:ui@*`, `workspace:^`.
        return match alias(wanted) {
            Some(name) => Spec::Named(name),
            None if is_path(wanted) || (wanted.contains('/') && !wanted.starts_with('@')) => {
                Spec::Path(wanted)
            }
            None => Spec::Named(key),
        };
    }
    if let Some(wanted) = text.strip_prefix("npm:") {
        let plain = |it: &&str| it.starts_with(|first: char| first == '@' || first.is_alphabetic());
        return Spec::Named(alias(wanted).or(Some(wanted).filter(plain)).unwrap_or(key));
    }
    if let Some(name) = text.strip_prefix("catalog:") {
        return Spec::Catalog(if name.trim().is_empty() { "default" } else { name.trim() });
    }
    if let Some(wanted) = text.strip_prefix("patch:") {
        let (inner, patches) = wanted.split_once('#').unwrap_or((wanted, ""));
        let patches = patches.split("::").next().unwrap_or(patches).split('&');
        let files = patches.map(|it| it.rsplit('!').next().unwrap_or(it));
        let files = files.filter(|it| !it.is_empty() && !it.starts_with("builtin<"));
        let inner = decoded(inner);
        let range = inner.get(1..).and_then(|it| it.find('@')).map_or("*", |at| &inner[at + 2..]);
        return Spec::Patched(range.to_owned(), files.map(decoded).collect());
    }
    if let Some(name) = text.strip_prefix('$') {
        return Spec::OfRoot(name);
    }
    if is_path(text) {
        return Spec::Path(text);
    }
    // `git+ssh:`, `https:`, `owner/repository`, `host:owner/repository`.
    if text.contains(':') || text.contains('/') { Spec::Elsewhere } else { Spec::Named(key) }
}

/// The name in `name@range`; a scope's `@` is part of the name.
fn alias(text: &str) -> Option<&str> {
    let end = text.get(1..)?.find('@')? + 1;
    Some(&text[..end])
}

/// npm takes these for files and directories, as it takes `file:`.
fn is_path(text: &str) -> bool {
    ["./", "../", "/", "~/"].iter().any(|start| text.starts_with(start))
        || matches!(text, "." | "..")
        || ((text.ends_with(".tgz") || text.ends_with(".tar.gz")) && !text.contains("://"))
}

/// The text without the escapes of a URL.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let digits = after.get(..2).filter(|_| *first == b'%');
        let value = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match value {
            Some(value) => {
                bytes.push(value);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_version_is_told_apart() {
        for (text, expected) in [
            ("^1.0.0", Spec::Named("key")),
            ("*", Spec::Named("key")),
            ("", Spec::Named("key")),
            ("latest", Spec::Named("key")),
            ("workspace:*", Spec::Named("key")),
            ("workspace:^1", Spec::Named("key")),
            ("workspace:real@*", Spec::Named("real")),
            ("workspace:@s/real@^", Spec::Named("@s/real")),
            ("workspace:../ui", Spec::Path("../ui")),
            ("workspace:packages/ui", Spec::Path("packages/ui")),
            ("npm:real@1", Spec::Named("real")),
            ("npm:@s/real@1", Spec::Named("@s/real")),
            ("npm:@s/real", Spec::Named("@s/real")),
            ("npm:^1", Spec::Named("key")),
            ("file:../x.tgz", Spec::Path("../x.tgz")),
            ("link:./x", Spec::Path("./x")),
            ("portal:../x", Spec::Path("../x")),
            ("../x", Spec::Path("../x")),
            ("vendor/x.tgz", Spec::Path("vendor/x.tgz")),
            ("catalog:", Spec::Catalog("default")),
            ("catalog:react19", Spec::Catalog("react19")),
            ("$react", Spec::OfRoot("react")),
            ("https://host.example/x.tgz", Spec::Elsewhere),
            ("git+ssh://git@host.example/a/b.git", Spec::Elsewhere),
            ("github:a/b#main", Spec::Elsewhere),
            ("a/b", Spec::Elsewhere),
        ] {
            assert_eq!(read("key", text), expected, "{text}");
        }
        assert_eq!(
            read("x", "patch:x@npm%3A1.0.0#~/.yarn/patches/x.patch&optional!./b%20c.patch"),
            Spec::Patched(
                "npm:1.0.0".to_owned(),
                vec!["~/.yarn/patches/x.patch".to_owned(), "./b c.patch".to_owned()]
            )
        );
        let builtin = "patch:x@npm%3A1.0.0#optional!builtin<compat/x>";
        assert_eq!(read("x", builtin), Spec::Patched("npm:1.0.0".to_owned(), Vec::new()));
    }
}
