//! What `exec` and the guest agent say to each other over the control socket: frames of a tag, a
//! length and bytes. The real one speaks gRPC; nothing but `tart` itself ever listens in.

use std::io::{self, Read, Write};

/// Client to agent: the command line as JSON, the first frame.
pub(crate) const COMMAND: u8 = b'C';
/// Client to agent: standard input; empty at its end.
pub(crate) const INPUT: u8 = b'I';
/// Agent to client: the command runs.
pub(crate) const STARTED: u8 = b'S';
/// Agent to client: bytes of the command's outputs.
pub(crate) const OUTPUT: u8 = b'O';
pub(crate) const ERROR: u8 = b'E';
/// Agent to client: the exit code, four bytes, little end first; -1 is a death by signal.
pub(crate) const EXIT: u8 = b'X';
/// Agent to client: the command could not be started, and why.
pub(crate) const REFUSED: u8 = b'R';
/// Agent to client: the stream is over, in good order.
pub(crate) const END: u8 = b'.';

pub(crate) fn send(mut to: impl Write, tag: u8, bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    let mut frame = Vec::with_capacity(bytes.len() + 5);
    frame.push(tag);
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(bytes);
    to.write_all(&frame)
}

/// The next frame; an error when the other side is gone.
pub(crate) fn receive(mut from: impl Read) -> io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 5];
    from.read_exact(&mut head)?;
    let [tag, length @ ..] = head;
    let mut bytes = vec![0; u32::from_le_bytes(length) as usize];
    from.read_exact(&mut bytes)?;
    Ok((tag, bytes))
}
