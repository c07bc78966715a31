//! Keeping secrets out of logs: what must not show, in whatever form it comes by, and a stream that
//! replaces it.
//!
//! One owner for every placement and runtime: local jobs are redacted on the way from their pipe to
//! their log, jobs elsewhere on the way back ([`crate::supervise::Log`]).
//!
//! The output is read in several ways at once ([`reading`]): as it is, with its line breaks left out
//! (folded base64), without shell and JSON quoting, with URL escapes and with HTML entities decoded.
//! In each of them the same kind of search runs ([`needles`]) for the forms that belong to it
//! ([`forms`]). What any of them finds is replaced: a run of secret bytes becomes one `***`.
//!
//! A supervisor elsewhere does the same before anything is on its disk ([`Masks::needles`]), in perl; where there is none, awk
//! looks for what can be sought in output as it is, and whatever else is a secret is replaced when its log comes back.
//!
//! Of most output nothing is written anew: a reading that leaves out line breaks is looked through where these are
//! ([`folded`]), and what is decided is handed on from where it was read.
//!
//! The cost is linear in the output and in the secrets: needles are at most [`LONGEST`] bytes, longer
//! forms are cut into parts of which each is hidden wherever it stands. At most that much is held back, and only
//! while it may still become a secret. The result does not depend on how the output is cut into chunks.

mod folded;
mod forms;
mod needles;
mod reading;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use needles::Needles;
use reading::Reading;

/// A shorter value is not masked: it would match everywhere and so be known from where it does.
const SHORTEST: usize = 6;
/// No needle is longer: when processes that write at once tear a value apart, so much of it may show at either end of a piece.
const LONGEST: usize = 128;
/// More bytes of secrets than this are refused: no environment holds them.
const MOST: usize = 4 << 20;
/// What stands in the place of a secret.
const MASK: &[u8] = b"***";

/// What must not show. Made once for a job, shared by its streams.
#[derive(Debug)]
pub(crate) struct Masks {
    readings: Vec<(Reading, Needles)>,
    /// How many values are too short to be masked.
    pub(crate) too_short: usize,
}

/// Why no masks can be made of some values, for people. A job with them must not run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("its secrets cannot be masked: {0}")]
pub(crate) struct Unmaskable(String);

impl Masks {
    /// Makes the masks of these values.
    ///
    /// # Errors
    ///
    /// When that is not possible: the job must not run then.
    pub(crate) fn new<'a>(values: impl IntoIterator<Item = &'a str>) -> Result<Self, Unmaskable> {
        let (mut forms, mut too_short, mut size) = (forms::Forms::default(), 0, 0_usize);
        for value in values.into_iter().filter(|value| !value.is_empty()) {
            size += value.len();
            if size > MOST {
                return Err(Unmaskable(format!("they are longer than {MOST} bytes together")));
            }
            too_short += usize::from(value.len() < SHORTEST);
            forms.add(value);
        }
        let mut readings = Vec::new();
        for (reading, needles) in forms.into_readings() {
            let needles = Needles::new(needles).map_err(|error| Unmaskable(error.to_string()))?;
            readings.push((reading, needles));
        }
        Ok(Self { readings, too_short })
    }

    /// Returns what is sought, for a supervisor elsewhere: needles in hexadecimal, a comma between; before one that is
    /// sought in another reading than the output as it is, the letter of that. It is as secret as the values.
    pub(crate) fn needles(&self) -> String {
        let mut text = String::new();
        for (reading, needles) in &self.readings {
            for needle in needles.iter() {
                if !text.is_empty() {
                    text.push(',');
                }
                text.extend(reading.letter());
                text.push_str(&crate::text::hex(needle));
            }
        }
        text
    }

    /// Returns how many bytes of values are cheap to make masks of: a matter of a moment.
    pub(crate) const CHEAP: usize = 16 << 10;
}

/// Where a stream stands between two chunks: what is needed to go on with it in another process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct MaskState {
    /// How many of the bytes that are held back belong to a secret for certain.
    pub(crate) covered: usize,
    /// Whether the last that was written is a mask.
    pub(crate) masked: bool,
}

/// A stream of output that is redacted.
#[derive(Debug)]
pub(crate) struct Redactor {
    masks: Arc<Masks>,
    held: Vec<u8>,
    standing: MaskState,
    found: Vec<(usize, usize)>,
}

/// The beginning of a text that nothing more can change.
struct Decided {
    length: usize,
    /// Whether no secret is in it.
    is_as_it_was: bool,
}

impl Redactor {
    /// Makes a stream that begins, or goes on where another one stood.
    pub(crate) fn new(masks: Arc<Masks>, standing: MaskState) -> Self {
        Self { masks, held: Vec::new(), standing, found: Vec::new() }
    }

    /// Takes bytes; returns what is decided: a part of them, or what is written to `out` for it.
    #[must_use = "it is the output from here on"]
    pub(crate) fn push<'a>(&mut self, bytes: &'a [u8], out: &'a mut Vec<u8>) -> &'a [u8] {
        if self.held.is_empty() {
            let decided = self.advance(bytes, false, out);
            self.held.extend_from_slice(&bytes[decided.length..]);
            return if decided.is_as_it_was { &bytes[..decided.length] } else { out };
        }
        let mut held = std::mem::take(&mut self.held);
        held.extend_from_slice(bytes);
        self.advance_held(held, false, out);
        out
    }

    /// Returns what was held back, which is written to `out`: nothing more comes.
    #[must_use = "it is the end of the output"]
    pub(crate) fn finish<'a>(&mut self, out: &'a mut Vec<u8>) -> &'a [u8] {
        let held = std::mem::take(&mut self.held);
        self.advance_held(held, true, out);
        out
    }

    fn advance_held(&mut self, mut held: Vec<u8>, is_last: bool, out: &mut Vec<u8>) {
        let decided = self.advance(&held, is_last, out);
        if decided.is_as_it_was {
            out.extend_from_slice(&held[..decided.length]);
        }
        held.drain(..decided.length);
        self.held = held;
    }

    /// Returns how many bytes were taken and are not decided yet.
    pub(crate) fn held(&self) -> usize {
        self.held.len()
    }

    /// Returns where it stands, besides what it holds.
    pub(crate) fn standing(&self) -> MaskState {
        self.standing
    }

    /// Reads text. What becomes of its beginning is written to `out`, and nothing if that stays as it is.
    fn advance(&mut self, text: &[u8], is_last: bool, out: &mut Vec<u8>) -> Decided {
        out.clear();
        self.found.clear();
        if self.standing.covered > 0 {
            self.found.push((0, self.standing.covered.min(text.len())));
        }
        let mut decided = text.len();
        let readings = self.masks.readings.iter();
        let views = readings.map(|(how, needles)| how.read(text, needles, is_last));
        let views: Vec<_> = views.collect();
        for ((_, needles), view) in self.masks.readings.iter().zip(&views) {
            if let Some(view) = view {
                decided = decided.min(view.search(needles, text.len(), is_last, &mut self.found));
            }
        }
        // No escape is torn: what goes on here is read as if it had never been cut.
        loop {
            let whole = views.iter().flatten().fold(decided, |at, view| view.boundary(at));
            if whole == decided {
                break;
            }
            decided = whole;
        }
        if decided == 0 {
            return Decided { length: 0, is_as_it_was: true };
        }
        if self.found.is_empty() {
            self.standing = MaskState::default();
            return Decided { length: decided, is_as_it_was: true };
        }
        self.found.sort_unstable();
        self.found.dedup_by(|next, run| {
            let is_same = next.0 <= run.1;
            run.1 = if is_same { run.1.max(next.1) } else { run.1 };
            is_same
        });
        let (mut at, mut masked, mut covered) = (0, self.standing.masked, 0);
        for &(start, end) in self.found.iter().take_while(|(start, _)| *start < decided) {
            if start > at {
                out.extend_from_slice(&text[at..start]);
                masked = false;
            }
            if !masked {
                out.extend_from_slice(MASK);
                masked = true;
            }
            at = end.min(decided);
            covered = end - at;
        }
        if at < decided {
            out.extend_from_slice(&text[at..decided]);
            masked = false;
        }
        self.standing = MaskState { covered, masked };
        Decided { length: decided, is_as_it_was: false }
    }
}
