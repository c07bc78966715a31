//! Forms by the programs that make them, and what holds for any secret.

use std::process::{Command, Stdio};

use proptest::prelude::*;

use super::*;
use forms::{STANDARD, base64_inside};

/// Redacts chunks that come one after the other.
fn masked(secrets: &[&str], chunks: &[&[u8]]) -> String {
    let masks = Arc::new(Masks::new(secrets.iter().copied()).expect("masks"));
    through(&masks, chunks)
}

fn through(masks: &Arc<Masks>, chunks: &[&[u8]]) -> String {
    let mut redactor = Redactor::new(Arc::clone(masks), MaskState::default());
    let (mut out, mut all) = (Vec::new(), Vec::new());
    for chunk in chunks {
        all.extend_from_slice(redactor.push(chunk, &mut out));
    }
    all.extend_from_slice(redactor.finish(&mut out));
    String::from_utf8_lossy(&all).into_owned()
}

/// The same by the redactor that is pushed to hosts and guests; `None` where there is no perl.
fn by_perl(masks: &Masks, chunks: &[&[u8]]) -> Option<String> {
    // As the server there has it: among the variables of that.
    let program = concat!(
        "use strict; binmode STDIN; binmode STDOUT;",
        include_str!("../supervise/shim/system.pl"),
        include_str!("../supervise/shim/redact.pl"),
        "my $l = <STDIN>; chomp $l; needles($l);",
        "while (defined(my $n = <STDIN>)) { read STDIN, my $b, $n; print redact($b, 0) }",
        "print redact(\"\", 1);"
    );
    let mut input = format!("{}\n", masks.needles()).into_bytes();
    for chunk in chunks {
        input.extend_from_slice(format!("{}\n", chunk.len()).as_bytes());
        input.extend_from_slice(chunk);
    }
    let mut command = Command::new("perl");
    command.args(["-e", program]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut perl = match command.spawn() {
        Ok(perl) => perl,
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "perl: {error}");
            return None;
        }
    };
    let mut stdin = perl.stdin.take().expect("piped");
    // What comes back is small enough for its pipe, or is read by the other thread.
    let writer = std::thread::spawn(move || std::io::Write::write_all(&mut stdin, &input));
    let output = perl.wait_with_output().expect("it ends");
    writer.join().expect("no panic").expect("it reads");
    assert!(output.status.success(), "{output:?}");
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Redacts chunks, here and as elsewhere, and checks that there is no difference.
#[track_caller]
fn everywhere(masks: &Arc<Masks>, chunks: &[&[u8]]) -> String {
    let shown = through(masks, chunks);
    if let Some(elsewhere) = by_perl(masks, chunks) {
        assert_eq!(elsewhere, shown, "by perl; from {chunks:?}");
    }
    shown
}

#[test]
fn output_that_a_reading_leaves_out_is_not_held_back_for_ever() {
    let masks = Arc::new(Masks::new(["it's hunter2hunter2"]).expect("masks"));
    // Each begins as a form of the secret does.
    for (begin, left_out) in
        [("6", "\n"), ("aXQ", "\n    "), ("it", "\""), ("it", "$"), ("it", "\\")]
    {
        let text = format!("{begin}{}", left_out.repeat(100_000));
        let mut redactor = Redactor::new(Arc::clone(&masks), MaskState::default());
        let (mut out, mut all) = (Vec::new(), Vec::new());
        for chunk in text.as_bytes().chunks(4096) {
            all.extend_from_slice(redactor.push(chunk, &mut out));
            assert!(redactor.held() < 8192, "{begin}{left_out}: {} held", redactor.held());
        }
        all.extend_from_slice(redactor.finish(&mut out));
        assert_eq!(all, text.as_bytes());
        let chunks: Vec<&[u8]> = text.as_bytes()[..20_000].chunks(4096).collect();
        everywhere(&masks, &chunks);
    }
}

#[test]
fn a_secret_is_masked_wherever_the_chunks_break() {
    let text = b"token=hunter2hunter2 ok";
    for at in 0..text.len() {
        let (a, b) = text.split_at(at);
        assert_eq!(masked(&["hunter2hunter2"], &[a, b]), "token=*** ok", "at {at}");
    }
}

#[test]
fn each_line_of_a_key_is_masked() {
    let key = "-----BEGIN KEY-----\nabcdefghij\nklmnopqrst\n-----END KEY-----\n";
    assert_eq!(masked(&[key], &[b"1 klmnopqrst\n2 abcdefghij\n"]), "1 ***\n2 ***\n");
    assert_eq!(masked(&[key], &[key.as_bytes()]), "***");
}

#[test]
fn nothing_but_a_possible_secret_is_held_back() {
    let masks = Arc::new(Masks::new(["secret-value"]).expect("masks"));
    let mut redactor = Redactor::new(masks, MaskState::default());
    let mut out = Vec::new();
    let mut all = redactor.push(b"Password: sec", &mut out).to_vec();
    assert_eq!(redactor.held(), 3);
    all.extend_from_slice(redactor.push(b"ond", &mut out));
    assert_eq!(redactor.held(), 0);
    assert_eq!(all, b"Password: second");
}

#[test]
fn short_secrets_are_counted_and_left_alone() {
    assert_eq!(Masks::new(["abc"]).expect("masks").too_short, 1);
    assert_eq!(masked(&["abc", ""], &[b"xabcx"]), "xabcx");
}

#[test]
fn what_is_longer_than_any_environment_is_refused() {
    let long = "k1".repeat(MOST);
    let refused = Masks::new([long.as_str()]).expect_err("refused");
    assert!(refused.to_string().contains("cannot be masked"), "{refused}");
}

#[test]
fn a_secret_that_repeats_itself_makes_few_needles() {
    for (unit, length) in [("k", 150_000), ("ab", 32_000), ("=-_ ", 32_000)] {
        let secret = unit.repeat(length / unit.len());
        let masks = Arc::new(Masks::new([secret.as_str()]).expect("masks"));
        let needles: usize = masks.readings.iter().map(|(_, needles)| needles.len()).sum();
        assert!(needles < 2000, "{unit}: {needles}");
        let text: [&[u8]; 5] = [b"x ", secret.as_bytes(), b" y ", &secret.as_bytes()[1..], b"z"];
        let shown = through(&masks, &text);
        assert!(shown.starts_with("x *** y "), "{unit}: {}", &shown[..shown.len().min(80)]);
        assert!(shown.len() < 2000, "{unit}: {} bytes are shown", shown.len());
    }
}

#[test]
fn secrets_that_overlap_are_hidden_both() {
    assert_eq!(masked(&["abcdef123456", "123456zzzzzz"], &[b"abcdef123456zzzzzz."]), "***.");
}

/// A program that prints forms of `$S`, each on its own lines; `None` where there is no such program.
fn printed(secret: &str, argv: &[&str]) -> Option<Vec<u8>> {
    let output = Command::new(argv[0])
        .args(&argv[1..])
        .env("S", secret)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) => {
            assert!(output.status.success(), "{argv:?}: {output:?}");
            Some([output.stdout, output.stderr].concat())
        }
        Err(_) => {
            let why = format!("`{}` is not here", argv[0]);
            assert!(std::env::var_os("CI").is_none(), "{why}");
            None
        }
    }
}

/// Values with everything that somebody escapes. None of their words stands elsewhere in the programs' output.
const AWKWARD: [&str; 9] = [
    "plainquux4711",
    "it's-a-quux4711",
    "quux a&b<c>d/e+f\"zorp",
    "quux\\zorp \\n \\\\ \\u0041 corge",
    "quux\nzorp'grault\ncorge",
    "quux\tzorp\u{1b}[31m grault\u{1}corge",
    "quüx zörp ✓ 😀 'grault'",
    "quux$zorp `grault` !corge #~{}[]()*?;|=:,%^@",
    "'quux'\"zorp\"$'grault'",
];

/// The words of those values: no program prints one of them by itself.
const WORDS: [&str; 6] = ["quux", "quüx", "zorp", "zörp", "grault", "corge"];

fn hides(secret: &str, masks: &Arc<Masks>, argv: &[&str]) {
    let Some(text) = printed(secret, argv) else { return };
    for size in [3, text.len().max(1)] {
        let chunks: Vec<&[u8]> = text.chunks(size).collect();
        let shown = everywhere(masks, &chunks);
        assert!(shown.contains("***"), "{argv:?} of {secret:?}: {shown}");
        for word in WORDS {
            assert!(!shown.contains(word), "{argv:?} of {secret:?}: {shown}");
        }
    }
}

#[test]
fn what_shells_print_of_a_secret_is_masked() {
    for secret in AWKWARD {
        let masks = Arc::new(Masks::new([secret]).expect("masks"));
        hides(secret, &masks, &["bash", "-c", "set -x; : \"$S\""]);
        hides(secret, &masks, &["bash", "-c", "printf '%q\\n' \"$S\""]);
        hides(
            secret,
            &masks,
            &["bash", "-c", "declare -p S; export -p; set; echo \"${S@Q} ${S@A} ${S@E}\""],
        );
        hides(
            secret,
            &masks,
            &["bash", "-c", "alias a=\"$S\"; alias; trap -- \"$S\" USR1; trap -p"],
        );
        hides(secret, &masks, &["dash", "-c", "set -x; : \"$S\"; export -p; set"]);
        hides(secret, &masks, &["zsh", "-fc", "set -x; : \"$S\""]);
        hides(
            secret,
            &masks,
            &["zsh", "-fc", "printf '%q\\n' \"$S\"; typeset -p S; export -p; set"],
        );
        hides(
            secret,
            &masks,
            &["zsh", "-fc", "print -r -- ${(q)S} ${(qq)S} ${(qqq)S} ${(qqqq)S} ${(q-)S} ${(q+)S}"],
        );
        hides(secret, &masks, &["busybox", "ash", "-c", "set -x; : \"$S\"; export -p; set"]);
        hides(secret, &masks, &["env", "printf", "%q\\n", secret]);
        // Bytes beyond ASCII are no characters there.
        let all = "set -x; : \"$S\"; typeset -p S; export -p; set; printf '%q\\n' \"$S\"";
        for shell in [&["bash", "-c"], &["zsh", "-fc"]] {
            hides(secret, &masks, &["env", "LC_ALL=C", shell[0], shell[1], all]);
        }
    }
}

#[test]
fn what_writers_of_json_and_urls_print_of_a_secret_is_masked() {
    for secret in AWKWARD {
        let masks = Arc::new(Masks::new([secret]).expect("masks"));
        hides(secret, &masks, &["jq", "-n", "env.S, (env.S|tojson), (env.S|tojson|tojson)"]);
        hides(
            secret,
            &masks,
            &["jq", "-nr", "env.S|@uri, @html, @sh, @csv?, @json, @base64, ([.]|@tsv)"],
        );
        let program = "import os, json, html, shlex\n\
            import urllib.parse as u, xml.sax.saxutils as x\n\
            s = os.environ['S']\n\
            print(json.dumps(s), json.dumps(json.dumps(s)), json.dumps(s, ensure_ascii=False))\n\
            print(u.quote(s), u.quote(s, ''), u.quote_plus(s), u.quote(s).lower())\n\
            print(html.escape(s)); print(repr(s), ascii(s), repr(repr(s)))\n\
            print(x.escape(s), x.quoteattr(s))\n\
            print(shlex.quote(s))\n\
            print(json.dumps(s).replace('<','\\\\u003c').replace('>','\\\\u003e').replace('&','\\\\u0026'))\n\
            print(json.dumps(s).replace('/','\\\\/'))\n\
            print(s.encode('utf-8').hex()); print(s.encode().hex().upper())\n\
            ";
        hides(secret, &masks, &["python3", "-c", program]);
    }
}

#[test]
fn base64_of_a_secret_is_masked_however_it_is_folded() {
    let long = "quux".repeat(40);
    for secret in AWKWARD.into_iter().chain([long.as_str()]) {
        let plain = secret.as_bytes();
        let Some(_) = printed(secret, &["base64", "--version"]) else { return };
        let masks = Arc::new(Masks::new([secret]).expect("masks"));
        for before in ["", "u", "us", "user:", &"long-user-name".repeat(5)] {
            for wrap in ["0", "20", "60", "64", "76"] {
                let script = format!("printf %s \"{before}$S\" | base64 -w {wrap}");
                let coded = printed(secret, &["sh", "-c", &script]).expect("base64");
                let crlf: Vec<u8> =
                    String::from_utf8_lossy(&coded).replace('\n', "\r\n    ").into();
                let json: Vec<u8> = String::from_utf8_lossy(&coded).replace('\n', "\\n").into();
                for text in [coded, crlf, json] {
                    for size in [5, text.len()] {
                        let shown = through(&masks, &text.chunks(size).collect::<Vec<_>>());
                        assert!(shown.contains("***"), "{secret:?} {before} {wrap}: {shown}");
                        let left = shown.replace(['\n', '\r', ' '], "").replace("\\n", "");
                        let whole =
                            base64_inside(&[before.as_bytes(), plain].concat(), 0, STANDARD);
                        // What is before the secret and at most a character at either of its ends.
                        let most = before.len().div_ceil(3) * 4 + "***".len() + 4;
                        assert!(
                            left.len() <= most,
                            "{secret:?} {before} {wrap}: {shown} of {whole:?}"
                        );
                    }
                }
            }
        }
    }
}

fn any_secret() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{6,20}",
        "[ab]{6,40}",
        "[ -~]{6,60}",
        "[a'\"\\\\ n\\$%&+;\\n\\t]{6,30}",
        "\\PC{6,30}",
        "[x]{900,1200}",
        "[a-zA-Z0-9+/=]{1000,3000}",
    ]
}

fn coded(secret: &str, form: usize, before: &[u8]) -> Vec<u8> {
    let json = |text: &str| serde_json::Value::from(text).to_string();
    match form {
        0 => secret.to_owned(),
        1 => json(secret),
        2 => json(&json(secret)),
        3 => json(secret).replace('&', "\\u0026").replace('<', "\\u003c").replace('/', "\\/"),
        4 => secret.bytes().fold(String::new(), |text, byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => {
                text + &char::from(byte).to_string()
            }
            _ => text + &format!("%{byte:02X}"),
        }),
        5 => secret.replace('&', "&amp;").replace('<', "&lt;").replace('\'', "&#39;"),
        6 => format!("'{}'", secret.replace('\'', "'\\''")),
        7 => {
            let all = [before, secret.as_bytes()].concat();
            String::from_utf8(base64_inside(&all, 0, STANDARD)).expect("ascii")
        }
        _ => secret.bytes().fold(String::new(), |text, byte| text + &format!("{byte:02x}")),
    }
    .into_bytes()
}

#[test]
fn a_secret_is_masked_at_whatever_border_of_chunks_it_is_cut() {
    let secret = "correct-horse+battery/staple?=é";
    let masks = Arc::new(Masks::new([secret]).expect("masks"));
    for form in 0..9 {
        let form = coded(secret, form, b"");
        let text = [b"before\n\\n  ", &*form, b"\r\n after"].concat();
        let whole = through(&masks, &[&text]);
        assert!(whole.contains("***"), "{whole}");
        for first in 0..=text.len() {
            let (one, rest) = text.split_at(first);
            assert_eq!(through(&masks, &[one, rest]), whole, "cut at {first}");
            for second in [first + 1, first + 2, first.midpoint(text.len()), text.len() - 1] {
                let Some((two, three)) =
                    second.checked_sub(first).and_then(|at| rest.split_at_checked(at))
                else {
                    continue;
                };
                assert_eq!(through(&masks, &[one, two, three]), whole, "{first}, {second}");
            }
        }
    }
}

#[test]
fn a_plus_is_hidden_in_whatever_style_of_url_it_comes() {
    for shown in ["%7E%2B%200%20%20", "~%2b+0++", "%7e%2B%200+%20", "~+ 0  "] {
        assert_eq!(masked(&["~+ 0  "], &[shown.as_bytes()]), "***", "{shown}");
    }
}

proptest! {
    #[test]
    fn line_breaks_left_out_without_another_text_are_left_out_as_in_one(
        secrets in proptest::collection::vec("[ab]{6,9}", 1..3),
        text in "([ -~]{0,9}|YW|FhY|[a-zA-Z]{1,3}|\n|\r\n {0,3}|\\\\n|\\\\|\t|\n{1,300}){0,40}",
        is_last in any::<bool>(),
    ) {
        let masks = Masks::new(secrets.iter().map(String::as_str)).expect("masks");
        let unfolded = masks.readings.iter().find(|(how, _)| *how == Reading::Unfolded);
        let (how, needles) = unfolded.expect("base64 is sought");
        // With pieces of what is sought among it, at breaks and elsewhere.
        let torn = |at: usize| needles.iter().nth(at % needles.len()).map_or(&[][..], |it| it);
        let pieces: Vec<u8> = text.bytes().enumerate().flat_map(|(at, byte)| {
            let piece = torn(at);
            let cut = at % piece.len();
            match byte {
                b'~' => piece.to_vec(),
                b'%' => [&piece[..cut], b"\n  ", &piece[cut..]].concat(),
                b'|' => [&piece[..cut], b"\\n", &piece[cut..]].concat(),
                b'^' => piece[..cut].to_vec(),
                _ => vec![byte],
            }
        }).collect();
        let look = |view: &reading::ReadText<'_>| {
            let mut found = Vec::new();
            let decided = view.search(needles, pieces.len(), is_last, &mut found);
            (found, decided, (0..=pieces.len()).map(|at| view.boundary(at)).collect::<Vec<_>>())
        };
        let in_full = reading::ReadText::Decoded(how.decode(&pieces, is_last));
        let view = how.read(&pieces, needles, is_last).expect("always read");
        prop_assert_eq!(look(&view), look(&in_full));
    }

    #[test]
    fn no_form_of_a_secret_is_ever_shown(
        secret in any_secret(),
        form in 0..9_usize,
        before in "[ -~]{0,9}",
        after in "[ -~\\n]{0,9}",
        sizes in proptest::collection::vec(1..40_usize, 1..8),
    ) {
        let form = coded(&secret, form, before.as_bytes());
        let text = [before.as_bytes(), &form, after.as_bytes()].concat();
        let (mut chunks, mut rest, mut sizes) = (Vec::new(), text.as_slice(), sizes.iter().cycle());
        while !rest.is_empty() {
            let (chunk, left) = rest.split_at((*sizes.next().expect("endless")).min(rest.len()));
            chunks.push(chunk);
            rest = left;
        }
        let masks = Arc::new(Masks::new([secret.as_str()]).expect("masks"));
        let shown = everywhere(&masks, &chunks);
        prop_assert!(shown.contains("***"), "{}", shown);
        prop_assert!(!shown.contains(&secret), "{}", shown);
        let form = String::from_utf8_lossy(&form).into_owned();
        prop_assert!(!shown.contains(&form), "{}", shown);
        prop_assert_eq!(masked(&[&secret], &[&text]), shown);
    }

    #[test]
    fn the_result_does_not_depend_on_the_chunks(
        secrets in proptest::collection::vec("[ab'\\\\\\n%2]{6,9}", 1..4),
        text in "([ab'\\\\\\n%2]|\\\\u0061|\\\\x62|%61|&#97;|&amp;|YW|Jh){0,80}",
        sizes in proptest::collection::vec(1..9_usize, 1..8),
    ) {
        let secrets = secrets.iter().map(String::as_str);
        let (mut chunks, mut rest, mut sizes) = (Vec::new(), text.as_bytes(), sizes.iter().cycle());
        while !rest.is_empty() {
            let (chunk, left) = rest.split_at((*sizes.next().expect("endless")).min(rest.len()));
            chunks.push(chunk);
            rest = left;
        }
        let masks = Arc::new(Masks::new(secrets).expect("masks"));
        prop_assert_eq!(everywhere(&masks, &chunks), through(&masks, &[text.as_bytes()]));
    }

    #[test]
    fn text_without_a_secret_is_untouched(
        chunks in proptest::collection::vec(proptest::collection::vec(b'a'..b'd', 0..20), 0..8),
    ) {
        let chunks: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
        let whole = String::from_utf8(chunks.concat()).expect("ascii");
        prop_assert_eq!(masked(&["abcabcabcX"], &chunks), whole);
    }
}
