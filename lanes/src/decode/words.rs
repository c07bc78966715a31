//! Values that are one of a few: plain words, and alternatives that may bring settings.

use toml::de::DeValue;

use super::{Decode, Reader, Value};
use crate::{
    codes,
    diagnostic::Diagnostic,
    names::{shorten, suggestion},
};

/// Reads one of a few words.
pub(crate) fn word<T: Copy>(
    value: Value<'_>,
    reader: &mut Reader<'_>,
    words: &[(&'static str, T)],
) -> Option<T> {
    let span = reader.span(&value);
    let text = String::decode(value, reader)?;
    let known = words.iter().find(|(word, _)| *word == text);
    if known.is_none() {
        let all: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
        let message = format!("`{}` is not a value of `{}`", shorten(&text), reader.key);
        let mut diagnostic = Diagnostic::error(&codes::BAD_VALUE, span, message)
            .help(format!("the values are {}", all.join(", ")));
        if let Some(near) = suggestion(&text, words.iter().map(|(word, _)| *word)) {
            diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
        }
        reader.report(diagnostic);
    }
    known.map(|(_, value)| *value)
}

/// An alternative that is a word or a table with one key: `"local"`, `{ remote_ssh = { … } }`.
pub(crate) enum Tagged<'i> {
    Word,
    Table(&'static str, Value<'i>),
}

/// Reads an externally tagged alternative; `word` stands alone, `tables` bring settings: each with those it cannot do
/// without, as people are told them.
pub(crate) fn tagged<'i>(
    value: Value<'i>,
    reader: &mut Reader<'_>,
    word: &'static str,
    tables: &[(&'static str, &'static str)],
) -> Option<Tagged<'i>> {
    let span = reader.span(&value);
    let place = reader.place();
    let forms = || {
        let word = format!("`\"{word}\"`");
        let tables = tables.iter().map(|(tag, settings)| format!("`{{ {tag} = {settings} }}`"));
        std::iter::once(word).chain(tables).collect::<Vec<_>>().join(" or ")
    };
    let tags: Vec<&'static str> = tables.iter().map(|(tag, _)| *tag).collect();
    let near = |text: &str| suggestion(text, tags.iter().copied().chain([word]));
    match value.into_inner() {
        DeValue::String(text) => {
            if text == word {
                return Some(Tagged::Word);
            }
            let message = if tags.contains(&&*text) {
                format!("`{text}` needs its settings: {}", forms())
            } else {
                format!("{place} must be {}", forms())
            };
            let mut diagnostic = Diagnostic::error(&codes::BAD_VALUE, span, message);
            if let Some(near) = near(&text).filter(|near| *near != text) {
                diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
            }
            reader.report(diagnostic);
            None
        }
        DeValue::Table(table) => {
            let mut chosen = None;
            let several = table.len() != 1;
            for (name, value) in table {
                let at = reader.span(&name);
                match tags.iter().find(|tag| name.get_ref() == **tag) {
                    Some(tag) => chosen = Some((*tag, value)),
                    None if name.get_ref() == word => {
                        let message = format!("`{name}` has no settings: write {}", forms());
                        reader.report(Diagnostic::error(&codes::BAD_VALUE, at, message));
                        return None;
                    }
                    None => {
                        reader.unknown_key(at, name.get_ref(), &[&tags]);
                        return None;
                    }
                }
            }
            if several {
                let message = format!("{place} must be exactly one of {}", forms());
                reader.report(Diagnostic::error(&codes::BAD_VALUE, span, message));
                return None;
            }
            let (tag, value) = chosen?;
            reader.field(tag);
            Some(Tagged::Table(tag, value))
        }
        other => {
            reader.wrong_type(span, &forms(), &other);
            None
        }
    }
}
