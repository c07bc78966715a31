//! What `executor doctor` asks a host: tools, disk, clock.

use std::time::{SystemTime, UNIX_EPOCH};

use super::remote::Remote;
use crate::{
    command_line::Script,
    fault::{FailureKind, Fault},
    placements::Check,
    ssh::fault,
};

/// Prints a word and what was found, a line each.
const LOOK: &str = r#"
has() { command -v "$1" >/dev/null 2>&1; }
for tool in tar find sort xargs cp dd tee mkfifo; do has $tool || echo "missing $tool"; done
has sha256sum || has shasum || has openssl || echo "missing sha256sum (or shasum, openssl)"
has setsid || has perl || echo "missing setsid (or perl)"
has perl || { has awk && has od && has tr; } || echo "missing perl (or awk, od and tr), without which no job with secrets runs"
has flock || has perl || echo "missing flock (or perl)"
[ "$(printf 'b\0a\0' | sort -z 2>/dev/null | tr '\0' ' ')" = 'a b ' ] || echo "missing sort -z"
echo "clock $(date +%s)"
lock() {
    if has flock; then
        (flock -n 9 && ! flock -n "$1" true) 9>"$1"
    elif has perl; then
        perl -e 'open(A, ">", $ARGV[0]); open(B, ">", $ARGV[0]); exit !(flock(A, 6) && !flock(B, 6))' "$1"
    fi
}
umask 077; mkdir -p "$work" 2>/dev/null && d=$(mktemp -d "$work/.look-XXXXXX" 2>/dev/null) && {
    lock "$d/lock" 2>/dev/null || echo "lockless"
    rm -f "$d/lock"
    rmdir "$d"
} || echo "unwritable"
df -Pk "$work" 2>/dev/null | tail -n 1 | { read -r a b c free e; echo "free $free"; }
"#;

/// Less than this and a tree may not fit.
const LITTLE: u64 = 1 << 30;

/// A clock that is further away confuses whatever compares times.
const FAR: u64 = 60;

/// Looks at the host.
pub(super) fn examine(remote: &Remote) -> Result<Vec<Check>, Fault> {
    let script = Script::new("").set("work", &remote.work_dir).text(LOOK);
    let output = remote.host.check(&script, &remote.host.patience());
    let output = output.map_err(|error| fault(FailureKind::NoAnswer, &error))?;
    let text = String::from_utf8_lossy(&output).into_owned();
    Ok(judge(&text, &remote.work_dir, seconds()))
}

fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn judge(text: &str, work_dir: &str, now: u64) -> Vec<Check> {
    let mut checks = Vec::new();
    let mut say = |ok, message: String, advice: Option<String>| {
        checks.push(Check { ok, message, advice });
    };
    let mut complete = true;
    let mut writable = true;
    for line in text.lines() {
        match line.split_once(' ') {
            Some(("missing", tool)) => {
                complete = false;
                let advice = format!("install `{tool}` there");
                say(false, format!("`{tool}` is not there"), Some(advice));
            }
            Some(("clock", there)) => {
                let away = there.parse::<u64>().map_or(0, |there| there.abs_diff(now));
                let advice = "set it, by NTP for instance".to_owned();
                if away > FAR {
                    say(false, format!("its clock is {away} s away from this one"), Some(advice));
                } else {
                    say(true, "its clock is right".to_owned(), None);
                }
            }
            Some(("free", kilobytes)) => {
                let free = kilobytes.parse::<u64>().unwrap_or(0).saturating_mul(1024);
                let message = format!("{} MiB free in `{work_dir}`", free >> 20);
                let advice = (free < LITTLE).then(|| "make room, or move `work_dir`".to_owned());
                say(free >= LITTLE, message, advice);
            }
            _ if line == "unwritable" => {
                writable = false;
                let advice = "make it there for this user, or set another `work_dir`".to_owned();
                say(false, format!("`{work_dir}` cannot be written to"), Some(advice));
            }
            _ if line == "lockless" => {
                complete = false;
                let message = format!("on the file system of `{work_dir}` no lock (flock) holds");
                say(false, message, Some("set another `work_dir`".to_owned()));
            }
            _ => {}
        }
    }
    if complete && writable {
        say(true, "has every tool that is needed".to_owned(), None);
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_amiss_is_told_with_advice() {
        let text = "missing tar\nclock 1000\nlockless\nunwritable\nfree 1024\n";
        let checks = judge(text, "/w", 5000);
        assert_eq!(checks.len(), 5);
        assert!(checks.iter().all(|check| !check.ok && check.advice.is_some()), "{checks:?}");
    }

    #[test]
    fn a_host_as_it_should_be_has_nothing_amiss() {
        let checks = judge("clock 1000\nfree 99999999\n", "/w", 1010);
        assert_eq!(checks.len(), 3);
        assert!(checks.iter().all(|check| check.ok && check.advice.is_none()), "{checks:?}");
    }
}
