//! HTTP/1.1 as far as a page that only reads needs it: `GET` and `HEAD`, ranges, streams of events. Parsing is the
//! library's; limits and deadlines are ours, since every byte may come from a stranger.

use std::{
    fs::File,
    io::{self, Read, Seek as _, SeekFrom, Write},
    sync::Arc,
    time::{Duration, Instant},
};

/// The longest head that is read.
const HEAD_BYTES: usize = 16 * 1024;

/// The most header lines.
const HEADERS: usize = 64;

/// How long a client may take for a head, the time between two requests included.
const HEAD_TIME: Duration = Duration::from_secs(30);

/// How much of a file is sent at once.
const PIECE: usize = 256 * 1024;

/// A connection.
pub trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// What is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Request {
    /// Whether only the head of the answer is wanted.
    pub(super) head_only: bool,
    /// The path, as it was sent.
    pub(super) path: String,
    /// What follows the question mark, as it was sent.
    pub(super) query: String,
    pub(super) host: Option<String>,
    pub(super) authorization: Option<String>,
    pub(super) range: Option<String>,
    pub(super) last_event_id: Option<String>,
    /// Whether the connection stays for another request.
    pub(super) keep: bool,
}

impl Request {
    /// Returns a value of the query, decoded; the first of that name.
    pub(super) fn value(&self, name: &str) -> Option<String> {
        let pairs = self.query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let value = pairs.into_iter().find(|(key, _)| *key == name)?.1.replace('+', " ");
        String::from_utf8(decode(&value)?).ok()
    }
}

/// Undoes `%XX`; nothing for what is no such text.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
            let value = digit(rest.next())? * 16 + digit(rest.next())?;
            bytes.push(u8::try_from(value).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    Some(bytes)
}

/// Writes every byte as `%XX` that a path might take for its own.
pub(super) fn encode(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            text.push(char::from(*byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

/// Reads requests of one connection.
pub(super) struct Requests {
    buffer: Vec<u8>,
}

/// What came instead of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoRequest {
    /// The client is gone, or says nothing.
    Gone,
    /// It is refused with this status.
    Refused(u16),
}

impl Requests {
    pub(super) fn new() -> Self {
        Self { buffer: Vec::new() }
    }

    /// Reads the next one. The stream has a read timeout of its own.
    pub(super) fn next(&mut self, stream: &mut dyn Stream) -> Result<Request, NoRequest> {
        let until = Instant::now() + HEAD_TIME;
        let mut piece = [0; 4096];
        loop {
            if let Some((request, length)) = parse(&self.buffer).map_err(NoRequest::Refused)? {
                self.buffer.drain(..length);
                return Ok(request);
            }
            if self.buffer.len() > HEAD_BYTES {
                return Err(NoRequest::Refused(431));
            }
            if Instant::now() > until {
                return Err(NoRequest::Gone);
            }
            match stream.read(&mut piece) {
                Ok(0) | Err(_) => return Err(NoRequest::Gone),
                Ok(read) => self.buffer.extend_from_slice(&piece[..read]),
            }
        }
    }
}

/// Reads a request's head, if all of it is there, and how long it is; or the status that refuses it.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Request, usize)>, u16> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let length = match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(431),
        Err(_) => return Err(400),
    };
    let head_only = match parsed.method {
        Some("GET") => false,
        Some("HEAD") => true,
        _ => return Err(405),
    };
    let target = parsed.path.unwrap_or_default();
    // Nothing but a path: no proxy is spoken to here.
    if !target.starts_with('/') {
        return Err(400);
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut request = Request {
        head_only,
        path: path.to_owned(),
        query: query.to_owned(),
        keep: parsed.version == Some(1),
        ..Request::default()
    };
    for header in parsed.headers.iter() {
        let value = std::str::from_utf8(header.value).map_err(|_| 400_u16)?.trim().to_owned();
        let once = |slot: &mut Option<String>, value: String| match slot.replace(value) {
            None => Ok(()),
            // Two answers to the question whose page this is are none.
            Some(_) => Err(400_u16),
        };
        match &*header.name.to_ascii_lowercase() {
            "host" => once(&mut request.host, value)?,
            "authorization" => once(&mut request.authorization, value)?,
            "range" => once(&mut request.range, value)?,
            "last-event-id" => once(&mut request.last_event_id, value)?,
            "connection" if value.eq_ignore_ascii_case("close") => request.keep = false,
            // Nobody sends anything here, and nothing is to be taken for the next request.
            "transfer-encoding" => return Err(400),
            "content-length" if value != "0" => return Err(413),
            _ => {}
        }
    }
    Ok(Some((request, length)))
}

/// What writes a stream until the client is gone or there is no more.
pub(super) type Events = Box<dyn FnOnce(&mut dyn Write) -> io::Result<()> + Send>;

/// What is sent after a head.
pub(super) enum Body {
    Bytes(Arc<[u8]>),
    /// A part of a file: from where, how much.
    File(File, u64, u64),
    Events(Events),
}

/// An answer.
pub(super) struct Response {
    pub(super) status: u16,
    /// The type of its content.
    pub(super) kind: &'static str,
    /// What a page may do; nothing at all where nothing else is said.
    pub(super) policy: Option<String>,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Body,
}

pub(super) const TEXT: &str = "text/plain; charset=utf-8";
pub(super) const JSON: &str = "application/json";
pub(super) const HTML: &str = "text/html; charset=utf-8";

impl Response {
    pub(super) fn new(status: u16, kind: &'static str, body: impl Into<Arc<[u8]>>) -> Self {
        let body = Body::Bytes(body.into());
        Self { status, kind, policy: None, headers: Vec::new(), body }
    }

    /// Returns an answer that is only its status.
    pub(super) fn status(status: u16) -> Self {
        let mut response =
            Self::new(status, TEXT, format!("{status} {}\n", reason(status)).into_bytes());
        match status {
            405 => response.headers.push(("Allow", "GET, HEAD".to_owned())),
            401 => response.headers.push((
                "WWW-Authenticate",
                "Basic realm=\"executor\", charset=\"UTF-8\"".to_owned(),
            )),
            _ => {}
        }
        response
    }

    pub(super) fn json(value: &impl serde::Serialize) -> Self {
        Self::new(200, JSON, serde_json::to_vec(value).expect("plain data"))
    }

    pub(super) fn events(events: Events) -> Self {
        let kind = "text/event-stream; charset=utf-8";
        Self { status: 200, kind, policy: None, headers: Vec::new(), body: Body::Events(events) }
    }

    /// Returns a file of that length, or the part of it that was asked for.
    pub(super) fn file(file: File, length: u64, kind: &'static str, range: Option<&str>) -> Self {
        let mut headers = vec![("Accept-Ranges", "bytes".to_owned())];
        let (status, body) = match range.map_or(Range::All, |range| asked_range(range, length)) {
            Range::All => (200, Body::File(file, 0, length)),
            Range::Part(from, to) => {
                headers.push(("Content-Range", format!("bytes {from}-{to}/{length}")));
                (206, Body::File(file, from, to - from + 1))
            }
            Range::Beyond => {
                headers.push(("Content-Range", format!("bytes */{length}")));
                (416, Body::Bytes(Arc::from(&b""[..])))
            }
        };
        Self { status, kind, policy: None, headers, body }
    }

    /// Sends it; returns whether the connection can be used again.
    pub(super) fn send(self, request: &Request, stream: &mut dyn Stream) -> io::Result<bool> {
        let Self { status, kind, policy, headers, body } = self;
        let length = match &body {
            Body::Bytes(bytes) => Some(bytes.len() as u64),
            Body::File(_, _, length) => Some(*length),
            Body::Events(_) => None,
        };
        let keep = request.keep && length.is_some() && status < 500;
        let policy =
            policy.as_deref().unwrap_or("default-src 'none'; frame-ancestors 'none'; sandbox");
        let mut head = format!(
            "HTTP/1.1 {status} {}\r\nContent-Type: {kind}\r\nContent-Security-Policy: {policy}\r\n\
             X-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\nReferrer-Policy: no-referrer\r\n\
             Cross-Origin-Resource-Policy: same-origin\r\nCross-Origin-Opener-Policy: same-origin\r\n\
             Cache-Control: no-store\r\nConnection: {}\r\n",
            reason(status),
            if keep { "keep-alive" } else { "close" },
        );
        use std::fmt::Write as _;
        if let Some(length) = length {
            let _ = write!(head, "Content-Length: {length}\r\n");
        }
        for (name, value) in headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes())?;
        if request.head_only {
            return stream.flush().map(|()| keep);
        }
        match body {
            Body::Bytes(bytes) => stream.write_all(&bytes)?,
            Body::File(file, from, length) => send_file(file, from, length, stream)?,
            Body::Events(events) => {
                stream.flush()?;
                events(&mut *stream)?;
            }
        }
        stream.flush().map(|()| keep)
    }
}

fn send_file(mut file: File, from: u64, mut length: u64, to: &mut dyn Stream) -> io::Result<()> {
    file.seek(SeekFrom::Start(from))?;
    let mut piece = vec![0; PIECE.min(usize::try_from(length).unwrap_or(PIECE)).max(1)];
    while length > 0 {
        let most = piece.len().min(usize::try_from(length).unwrap_or(PIECE));
        let read = file.read(&mut piece[..most])?;
        if read == 0 {
            // Somebody cut it; the client hears it by the missing bytes.
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        to.write_all(&piece[..read])?;
        length -= read as u64;
    }
    Ok(())
}

/// Which part of a file is wanted.
#[derive(Debug, PartialEq, Eq)]
enum Range {
    All,
    /// From the first of these to the last.
    Part(u64, u64),
    Beyond,
}

/// Reads a range (RFC 9110, 14.1.2). Several at once are not worth their form: all of it answers them.
fn asked_range(range: &str, length: u64) -> Range {
    let Some((from, to)) = range.strip_prefix("bytes=").and_then(|range| range.split_once('-'))
    else {
        return Range::All;
    };
    let number = |text: &str| {
        text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten()
    };
    let last = length.saturating_sub(1);
    match (number(from), number(to), from.is_empty(), to.is_empty()) {
        (Some(from), _, false, true) if from < length => Range::Part(from, last),
        (Some(from), Some(to), false, false) if from <= to && from < length => {
            Range::Part(from, to.min(last))
        }
        (Some(from), Some(to), false, false) if from > to => Range::All,
        (None, Some(end), true, false) if end > 0 && length > 0 => {
            Range::Part(length - end.min(length), last)
        }
        (Some(_), _, false, true)
        | (Some(_), Some(_), false, false)
        | (None, Some(_), true, false) => Range::Beyond,
        _ => Range::All,
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        206 => "Partial Content",
        303 => "See Other",
        400 => "Bad Request",
        401 => "Unauthorized",
        404 => "Not Found",
        405 => "Method Not Allowed",
        413 => "Content Too Large",
        416 => "Range Not Satisfiable",
        421 => "Misdirected Request",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        _ => "Error",
    }
}

/// Writes one event of a stream; data of several lines is several `data` fields.
pub(super) fn event(
    to: &mut dyn Write,
    id: Option<&str>,
    name: &str,
    data: &str,
) -> io::Result<()> {
    let mut text = String::new();
    use std::fmt::Write as _;
    if let Some(id) = id {
        let _ = writeln!(text, "id: {id}");
    }
    let _ = writeln!(text, "event: {name}");
    for line in data.split('\n') {
        let _ = writeln!(text, "data: {line}");
    }
    text.push('\n');
    to.write_all(text.as_bytes())?;
    to.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_whole_and_nothing_but_reading_is_asked_for() {
        let get =
            b"GET /a%20b?x=1%26&y HTTP/1.1\r\nHost: localhost\r\nRange: bytes=0-1\r\n\r\nrest";
        let (request, length) = parse(get).expect("fine").expect("whole");
        assert_eq!((&*request.path, length), ("/a%20b", get.len() - 4));
        assert_eq!(
            (request.value("x").as_deref(), request.value("y").as_deref()),
            (Some("1&"), Some(""))
        );
        assert_eq!(request.value("z"), None);
        for cut in 0..get.len() - 5 {
            assert_eq!(parse(&get[..cut]), Ok(None), "{cut}");
        }
        for (bad, status) in [
            ("POST / HTTP/1.1\r\n\r\n", 405),
            ("OPTIONS * HTTP/1.1\r\n\r\n", 405),
            ("GET http://x/ HTTP/1.1\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\n", 413),
            ("\0\0\0", 400),
        ] {
            assert_eq!(parse(bad.as_bytes()), Err(status), "{bad}");
        }
    }

    #[test]
    fn ranges_are_parts_of_the_file_or_none() {
        for (range, wanted) in [
            ("bytes=0-", Range::Part(0, 9)),
            ("bytes=3-5", Range::Part(3, 5)),
            ("bytes=3-500", Range::Part(3, 9)),
            ("bytes=-4", Range::Part(6, 9)),
            ("bytes=-400", Range::Part(0, 9)),
            ("bytes=10-", Range::Beyond),
            ("bytes=10-11", Range::Beyond),
            ("bytes=-0", Range::Beyond),
            ("bytes=5-3", Range::All),
            ("bytes=0-1,3-4", Range::All),
            ("bytes=a-b", Range::All),
            ("lines=1-2", Range::All),
            ("bytes=-", Range::All),
            ("bytes=99999999999999999999-", Range::All),
        ] {
            assert_eq!(asked_range(range, 10), wanted, "{range}");
        }
        assert_eq!(asked_range("bytes=0-", 0), Range::Beyond);
        assert_eq!(asked_range("bytes=-1", 0), Range::Beyond);
    }

    #[test]
    fn names_come_back_from_an_address_as_they_were() {
        for name in ["a b", "ü/%", "\u{1b}[31m<script>", "..", "?#&"] {
            assert_eq!(decode(&encode(name.as_bytes())).as_deref(), Some(name.as_bytes()));
        }
        for bad in ["%", "%1", "%zz", "%+1"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
