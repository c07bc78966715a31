//! Who may ask: which names of this machine a request may come by, and the token.
//!
//! A page of a stranger can make a browser here send requests to this machine, under a name of its own that leads
//! here. It cannot make it leave that name out of the `Host` header, so a name that is not ours is refused before
//! anything else is looked at. Numbers are no names: nobody else can have them.

use std::{net::IpAddr, path::Path};

use sha2::{Digest as _, Sha256};

use super::http::Request;
use crate::state;

/// The shortest token that is accepted.
const LEAST: usize = 16;

/// What lets requests in.
pub(super) struct Gate {
    /// The digest of the token; absent: none is asked for.
    token: Option<[u8; 32]>,
    /// This machine's name.
    name: String,
}

impl Gate {
    pub(super) fn new(token: Option<&str>) -> Self {
        Self { token: token.map(digest), name: state::host_name() }
    }

    /// Returns the status that refuses a request, if one does.
    pub(super) fn refuses(&self, request: &Request) -> Option<u16> {
        match &request.host {
            None => return Some(400),
            Some(host) if !self.is_ours(host) => return Some(421),
            Some(_) => {}
        }
        let token = self.token.as_ref()?;
        let given = request.authorization.as_deref().and_then(given);
        let fits = given.is_some_and(|given| is_same(&digest(&given), token));
        (!fits).then_some(401)
    }

    fn is_ours(&self, host: &str) -> bool {
        let name = match host.strip_prefix('[') {
            Some(rest) => match rest.split_once(']') {
                Some((address, port)) if port.is_empty() || is_port(port) => address,
                _ => return false,
            },
            None => match host.split_once(':') {
                Some((name, port)) if is_port(&format!(":{port}")) => name,
                Some(_) => return false,
                None => host,
            },
        };
        name.eq_ignore_ascii_case("localhost")
            || name.parse::<IpAddr>().is_ok()
            || (!self.name.is_empty() && name.eq_ignore_ascii_case(&self.name))
    }
}

fn is_port(text: &str) -> bool {
    text.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok())
}

/// Returns the token of an `Authorization` header: a bearer's, or the password of a browser's question.
fn given(authorization: &str) -> Option<String> {
    let (scheme, value) = authorization.split_once(' ')?;
    match &*scheme.to_ascii_lowercase() {
        "bearer" => Some(value.trim().to_owned()),
        "basic" => {
            let both = String::from_utf8(unbase64(value.trim())?).ok()?;
            Some(both.split_once(':')?.1.to_owned())
        }
        _ => None,
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// Compares digests in a time that says nothing about them.
fn is_same(one: &[u8; 32], other: &[u8; 32]) -> bool {
    let differs = one.iter().zip(other).fold(0, |differs, (a, b)| differs | (a ^ b));
    std::hint::black_box(differs) == 0
}

/// Undoes base64 with or without padding (RFC 4648, section 4).
fn unbase64(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=');
    let (mut bits, mut count, mut bytes) = (0_u32, 0, Vec::new());
    for byte in text.bytes() {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 & 0xff_ffff | u32::from(digit);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 0xff) as u8);
        }
    }
    Some(bytes)
}

/// Reads a token's file: one line, long enough, and nobody's to read but its owner's.
pub(super) fn read_token(path: &Path) -> Result<String, String> {
    use std::os::unix::fs::MetadataExt as _;
    let shown = path.display();
    let read = std::fs::metadata(path)
        .and_then(|found| Ok((found.mode(), std::fs::read_to_string(path)?)));
    let (mode, text) =
        read.map_err(|error| format!("the token `{shown}` cannot be read: {error}"))?;
    if mode & 0o077 != 0 {
        return Err(format!("others may read the token `{shown}`: chmod 600 {shown}"));
    }
    let token = text.trim();
    if token.len() < LEAST || token.chars().any(char::is_whitespace) {
        return Err(format!(
            "`{shown}` holds no token: one word of at least {LEAST} characters is, such as `openssl rand -hex 24` prints"
        ));
    }
    Ok(token.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(host: &str, authorization: Option<&str>) -> Request {
        let (host, authorization) = (Some(host.to_owned()), authorization.map(str::to_owned));
        Request { host, authorization, ..Request::default() }
    }

    #[test]
    fn a_name_that_is_not_ours_is_refused() {
        let gate = Gate::new(None);
        for ours in ["localhost", "LOCALHOST:80", "127.0.0.1:1", "[::1]:8700", "[::1]", "10.0.0.7"]
        {
            assert_eq!(gate.refuses(&asked(ours, None)), None, "{ours}");
        }
        assert_eq!(gate.refuses(&asked(&format!("{}:1", state::host_name()), None)), None);
        for other in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.nip.io",
            "localhost:x",
            "[::1",
            "",
            "[::1]x",
        ] {
            assert_eq!(gate.refuses(&asked(other, None)), Some(421), "{other}");
        }
        assert_eq!(gate.refuses(&Request::default()), Some(400));
    }

    #[test]
    fn a_token_is_a_bearers_or_a_password() {
        let gate = Gate::new(Some("correct-horse-battery"));
        for right in ["Bearer correct-horse-battery", "basic eDpjb3JyZWN0LWhvcnNlLWJhdHRlcnk="] {
            assert_eq!(gate.refuses(&asked("localhost", Some(right))), None, "{right}");
        }
        for wrong in [
            "Bearer correct-horse",
            "Bearer",
            "Basic !!",
            "Basic eDp4",
            "Digest correct-horse-battery",
        ] {
            assert_eq!(gate.refuses(&asked("localhost", Some(wrong))), Some(401), "{wrong}");
        }
        assert_eq!(gate.refuses(&asked("localhost", None)), Some(401));
        // Strangers do not even hear that there is a token.
        assert_eq!(gate.refuses(&asked("evil.example", None)), Some(421));
    }

    #[test]
    fn base64_comes_back() {
        for text in ["", "f", "fo", "foo", "foob", "x:correct"] {
            assert_eq!(
                unbase64(&crate::report::html::base64(text.as_bytes())).as_deref(),
                Some(text.as_bytes())
            );
        }
    }
}
