//! Variables put into the text of a shell where expressions of another engine stand: between any
//! quotes, and in the lines of a here-document.

/// Puts `${NAME}` for each expression for which `variable` has a name; the others stay.
///
/// Between single quotes nothing is read: they end before a variable and begin again. A here-document
/// whose word is quoted is not read either: it is written as one that is, with its signs escaped.
pub(super) fn filled(written: &str, variable: &dyn Fn(&str) -> Option<String>) -> String {
    let mut out = String::new();
    let (mut single, mut double, mut comment) = (false, false, false);
    let mut pending: Option<Document<'_>> = None;
    let mut before = ' ';
    let mut rest = written;
    while let Some(first) = rest.chars().next() {
        if let Some((inside, behind)) = expression(rest) {
            match variable(inside) {
                Some(name) if single => out.extend(["'\"${", &name, "}\"'"]),
                Some(name) => out.extend(["${", &name, "}"]),
                None => out.push_str(&rest[..rest.len() - behind.len()]),
            }
            (rest, before) = (behind, '}');
            continue;
        }
        let plain = !single && !double && !comment;
        if plain
            && pending.is_none()
            && let Some((document, behind)) = Document::starting(rest, variable)
        {
            out.push_str(if document.dashed { "<<-" } else { "<<" });
            let word = if document.escaped { document.word } else { document.written };
            out.push_str(word);
            (rest, before) = (behind, 'E');
            pending = Some(document);
            continue;
        }
        rest = &rest[first.len_utf8()..];
        out.push(first);
        match first {
            '\n' => {
                comment = false;
                if let Some(document) = pending.take_if(|_| !single && !double) {
                    rest = document.lines(rest, variable, &mut out);
                }
            }
            _ if comment => {}
            '\'' if !double => single = !single,
            '"' if !single => double = !double,
            '\\' if !single => {
                if let Some(next) = rest.chars().next() {
                    out.push(next);
                    rest = &rest[next.len_utf8()..];
                }
            }
            '#' if plain && before.is_whitespace() => comment = true,
            _ => {}
        }
        before = first;
    }
    out
}

/// What stands in `${{ … }}` at the start of a text, and what is behind it.
fn expression(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix("${{")?.split_once("}}")
}

/// A here-document that a line starts.
struct Document<'a> {
    /// The word as it is written, and without quotes.
    written: &'a str,
    word: &'a str,
    /// `<<-`: tabs before its lines are of no account.
    dashed: bool,
    /// Its word is quoted, and an expression in it has to be read.
    escaped: bool,
}

impl<'a> Document<'a> {
    /// The one that starts here, if a later line ends it; and what is behind its word.
    fn starting(
        text: &'a str,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Option<(Self, &'a str)> {
        let behind = text.strip_prefix("<<").filter(|behind| !behind.starts_with('<'))?;
        let dashed = behind.starts_with('-');
        let behind = behind.strip_prefix('-').unwrap_or(behind).trim_start_matches([' ', '\t']);
        let (written, word, behind) = match behind.chars().next()? {
            quote @ ('\'' | '"') => {
                let length = behind[1..].find(quote)?;
                (&behind[..length + 2], &behind[1..=length], &behind[length + 2..])
            }
            _ => {
                let inside = |c: char| c.is_ascii_alphanumeric() || "_.-\\".contains(c);
                let length = behind.find(|c| !inside(c)).unwrap_or(behind.len());
                let written = &behind[..length];
                (written, written.trim_start_matches('\\'), &behind[length..])
            }
        };
        let (_, lines) = behind.split_once('\n')?;
        let is_end = |line: &str| if dashed { line.trim_start_matches('\t') } else { line } == word;
        let body: Vec<&str> = lines.lines().take_while(|line| !is_end(line)).collect();
        if word.is_empty() || body.len() == lines.lines().count() {
            return None;
        }
        let mut found = false;
        let body = body.join("\n");
        let mut left = body.as_str();
        while let Some(at) = left.find("${{") {
            let Some((inside, behind)) = expression(&left[at..]) else { break };
            found |= variable(inside).is_some();
            left = behind;
        }
        Some((Self { written, word, dashed, escaped: found && written != word }, behind))
    }

    /// Writes its lines; returns what is behind them, the line with the word included.
    fn lines<'t>(
        &self,
        text: &'t str,
        variable: &dyn Fn(&str) -> Option<String>,
        out: &mut String,
    ) -> &'t str {
        let mut rest = text;
        loop {
            let (line, behind) = rest.split_once('\n').unwrap_or((rest, ""));
            let own = if self.dashed { line.trim_start_matches('\t') } else { line };
            if own == self.word || rest.is_empty() {
                return rest;
            }
            let mut left = line;
            while let Some(first) = left.chars().next() {
                if let Some((inside, behind)) = expression(left) {
                    match variable(inside) {
                        Some(name) => out.extend(["${", &name, "}"]),
                        None if self.escaped => out.extend(["\\${{", inside, "}}"]),
                        None => out.extend(["${{", inside, "}}"]),
                    }
                    left = behind;
                    continue;
                }
                if self.escaped && ['\\', '$', '`'].contains(&first) {
                    out.push('\\');
                }
                out.push(first);
                left = &left[first.len_utf8()..];
            }
            out.push('\n');
            rest = behind;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::filled;

    #[test]
    fn a_script_reads_variables_between_any_quotes_and_in_documents() {
        let variable = |inside: &str| (inside.trim() == "v").then(|| "V".to_owned());
        for (written, read) in [
            ("echo ${{ v }}", "echo ${V}"),
            ("echo \"${{v}}\"", "echo \"${V}\""),
            ("echo '${{ v }}'", "echo ''\"${V}\"''"),
            ("# it's\necho ${{ v }}", "# it's\necho ${V}"),
            ("echo \"it's ${{ v }}\"", "echo \"it's ${V}\""),
            ("echo it\\'s ${{ v }}", "echo it\\'s ${V}"),
            ("echo ${{ other }}", "echo ${{ other }}"),
            ("echo 'a' '${{ v }}' ${{ v }}", "echo 'a' ''\"${V}\"'' ${V}"),
            (
                "cat <<E\nit's ${{ v }}\nE\necho '${{ v }}'",
                "cat <<E\nit's ${V}\nE\necho ''\"${V}\"''",
            ),
            (
                "cat <<'E' >x\nit's $A `b` \\ ${{ v }} ${{ w }}\nE\n",
                "cat <<E >x\nit's \\$A \\`b\\` \\\\ ${V} \\${{ w }}\nE\n",
            ),
            ("cat <<'E'\nit's $A\nE\necho ${{ v }}", "cat <<'E'\nit's $A\nE\necho ${V}"),
            ("cat <<-\\E\n\t'${{ v }}\n\tE\n'${{ v }}'", "cat <<-E\n\t'${V}\n\tE\n''\"${V}\"''"),
            ("echo $((1 << 2)) '${{ v }}'", "echo $((1 << 2)) ''\"${V}\"''"),
            ("cat <<<'${{ v }}'\n", "cat <<<''\"${V}\"''\n"),
        ] {
            assert_eq!(filled(written, &variable), read, "{written}");
        }
    }
}
