//! The live display of a terminal: what runs and for how long, and how much is done. It stands below everything else
//! that is written there, and is drawn anew where it stood.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::terminal;
use crate::{
    outcome::Outcome,
    text::{self, push},
};

/// How many running nodes are shown; the rest only counts.
const SHOWN: usize = 12;

/// How many cells the gauge has.
const CELLS: usize = 24;

/// Terminals of fewer columns have no gauge: the numbers beside it would be cut off, or break the line.
const LEAST_COLUMNS: usize = 60;

/// How often it is drawn where much happens, and where nothing does but that time passes.
const BUSY: Duration = Duration::from_millis(100);
const IDLE: Duration = Duration::from_millis(500);

/// A display on standard error, until it is dropped.
pub(super) struct Progress {
    display: Arc<Mutex<Display>>,
    /// Draws as time passes, until its channel is closed.
    ticker: Option<(mpsc::Sender<()>, JoinHandle<()>)>,
}

/// What is shown.
struct Display {
    began: Instant,
    nodes: usize,
    over: usize,
    failed: usize,
    running: Vec<Running>,
    /// How many columns each line takes that stands on the terminal; the cursor is at the beginning of the line below.
    drawn: Vec<usize>,
    /// When that was.
    at: Instant,
    changed: bool,
}

struct Running {
    node: String,
    since: Instant,
    /// What is said beside it.
    remark: String,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { display: Arc::new(Mutex::new(Display::new(Instant::now()))), ticker: None }
    }

    fn display(&self) -> MutexGuard<'_, Display> {
        lock(&self.display)
    }

    pub(super) fn begin(&mut self, nodes: usize) {
        {
            let mut display = self.display();
            display.nodes = nodes;
            display.changed = true;
        }
        let (stop, stopped) = mpsc::channel();
        let display = Arc::clone(&self.display);
        let tick = move || {
            while let Err(mpsc::RecvTimeoutError::Timeout) = stopped.recv_timeout(BUSY) {
                let mut display = lock(&display);
                if display.changed || display.at.elapsed() >= IDLE {
                    terminal::put(&display.draw(terminal::size(), Instant::now()));
                }
            }
        };
        // Without, nothing is drawn.
        let ticker = thread::Builder::new().name("progress".to_owned()).spawn(tick);
        self.ticker = ticker.ok().map(|ticker| (stop, ticker));
    }

    pub(super) fn started(&self, node: &str, attempt: u32) {
        let remark = if attempt > 1 { format!(" (attempt {attempt})") } else { String::new() };
        self.display().start(node, remark, Instant::now());
    }

    /// Shows what a node waits for.
    pub(super) fn waits(&self, node: &str, message: &str) {
        self.display().remark(node, format!("  {}", text::neutral(message)));
    }

    /// Shows that a node goes on after a wait.
    pub(super) fn goes_on(&self, node: &str) {
        self.display().remark(node, String::new());
    }

    pub(super) fn paused(&self, node: &str) {
        self.display().stop(node);
    }

    pub(super) fn finished(&self, node: &str, outcome: Outcome) {
        let mut display = self.display();
        display.failed += usize::from(outcome >= Outcome::InfraFailed);
        display.over += 1;
        display.stop(node);
    }

    /// Lets `write` write above the display.
    pub(super) fn above<T>(&self, write: impl FnOnce() -> T) -> T {
        let mut display = self.display();
        terminal::put(&display.erase(terminal::size().0));
        let written = write();
        if self.ticker.is_some() {
            terminal::put(&display.draw(terminal::size(), Instant::now()));
        }
        written
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((stop, ticker)) = self.ticker.take() {
            drop(stop);
            // One that panicked draws no more either.
            let _ = ticker.join();
        }
        terminal::put(&self.display().erase(terminal::size().0));
    }
}

fn lock(display: &Mutex<Display>) -> MutexGuard<'_, Display> {
    display.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Display {
    fn new(now: Instant) -> Self {
        Self {
            began: now,
            nodes: 0,
            over: 0,
            failed: 0,
            running: Vec::new(),
            drawn: Vec::new(),
            at: now,
            changed: false,
        }
    }

    fn start(&mut self, node: &str, remark: String, now: Instant) {
        self.running.push(Running { node: node.to_owned(), since: now, remark });
        self.changed = true;
    }

    fn remark(&mut self, node: &str, remark: String) {
        if let Some(running) = self.running.iter_mut().find(|running| running.node == node) {
            running.remark = remark;
            self.changed = true;
        }
    }

    fn stop(&mut self, node: &str) {
        self.running.retain(|running| running.node != node);
        self.changed = true;
    }

    /// Returns what draws it on a terminal of so many columns and rows, in place of what stands there.
    fn draw(&mut self, (columns, rows): (usize, usize), now: Instant) -> String {
        let lines = self.lines(columns, rows, now);
        let stood = self.stands(columns);
        let mut out = up(stood);
        for line in &lines {
            push!(out, "{ERASE}{line}\n");
        }
        out += &erase(stood.saturating_sub(lines.len()));
        self.drawn = lines.iter().map(|line| line.width()).collect();
        (self.at, self.changed) = (now, false);
        out
    }

    /// Returns what removes it from the terminal.
    fn erase(&mut self, columns: usize) -> String {
        let stood = self.stands(columns);
        self.drawn.clear();
        up(stood) + &erase(stood)
    }

    /// How many rows it takes that stands there. A terminal that was made narrower has broken the lines that became too
    /// long for it.
    fn stands(&self, columns: usize) -> usize {
        self.drawn.iter().map(|width| width.div_ceil(columns.max(1)).max(1)).sum()
    }

    fn lines(&self, columns: usize, rows: usize, now: Instant) -> Vec<String> {
        // One row below is the cursor's, one is for the total, and one for what was there before.
        let shown = SHOWN.min(rows.saturating_sub(3));
        let clock = |since: Instant| {
            let passed = now.saturating_duration_since(since).as_secs();
            match passed {
                0..60 => format!("{passed}s"),
                _ => text::duration(Duration::from_secs(passed)),
            }
        };
        let running = self.running.iter().take(shown).map(|running| {
            format!("{:>11}  {}{}", clock(running.since), running.node, running.remark)
        });
        let failed =
            if self.failed > 0 { format!(", {} failed", self.failed) } else { String::new() };
        let total = format!(
            "{:>11}  {}{}/{}  {} running{failed}",
            clock(self.began),
            gauge(self.over, self.nodes, columns),
            self.over,
            self.nodes,
            self.running.len()
        );
        running.chain([total]).map(|line| cut(line, columns)).collect()
    }
}

/// Erases a row (ECMA-48, 8.3.41). Not all from there on at once: where that is the whole screen, tmux keeps it in its
/// history. And not behind what is written: that a line was broken at the end of a row is true of it until it is erased.
const ERASE: &str = "\u{1b}[2K";

/// Returns what leads so many rows up, to the beginning of a line.
fn up(rows: usize) -> String {
    if rows == 0 { String::new() } else { format!("\r\u{1b}[{rows}A") }
}

/// Returns what erases so many rows from the cursor's on, which stays where it is.
fn erase(rows: usize) -> String {
    let down = format!("{ERASE}\u{1b}[1B");
    down.repeat(rows) + &up(rows)
}

/// Returns how much is done as cells, with what parts them from the numbers; nothing where the terminal is narrow.
fn gauge(done: usize, of: usize, columns: usize) -> String {
    if columns < LEAST_COLUMNS {
        return String::new();
    }
    let full = (done.min(of) * CELLS).checked_div(of).unwrap_or(CELLS);
    format!("{}{} ", "█".repeat(full), "░".repeat(CELLS - full))
}

/// Returns the beginning of a line that leaves the last column free: terminals differ in when they break a full one.
fn cut(mut line: String, columns: usize) -> String {
    let mut width = 0;
    let end = line.char_indices().find(|(_, character)| {
        width += character.width().unwrap_or(0);
        width >= columns
    });
    if let Some((end, _)) = end {
        line.truncate(end);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A terminal of so many columns that breaks lines anew where it becomes narrower or wider, as tmux does.
    struct Screen {
        columns: usize,
        /// What stands in each row, and whether its line goes on in the next one.
        rows: Vec<(Vec<char>, bool)>,
        row: usize,
        column: usize,
    }

    impl Screen {
        fn new(columns: usize) -> Self {
            Self { columns, rows: vec![(Vec::new(), false)], row: 0, column: 0 }
        }

        fn put(&mut self, text: &str) {
            let mut text = text.chars();
            while let Some(character) = text.next() {
                match character {
                    '\r' => self.column = 0,
                    '\n' => self.next(self.rows[self.row].1),
                    '\u{1b}' => {
                        assert_eq!(text.next(), Some('['));
                        let mut sequence = String::new();
                        while !sequence.ends_with(|c: char| c.is_ascii_alphabetic()) {
                            sequence.push(text.next().expect("its end"));
                        }
                        self.control(&sequence);
                    }
                    character => {
                        if self.column == self.columns {
                            self.next(true);
                        }
                        let row = &mut self.rows[self.row].0;
                        row.resize(row.len().max(self.column + 1), ' ');
                        row[self.column] = character;
                        self.column += 1;
                    }
                }
            }
        }

        fn next(&mut self, goes_on: bool) {
            self.rows[self.row].1 = goes_on;
            (self.row, self.column) = (self.row + 1, 0);
            if self.row == self.rows.len() {
                self.rows.push((Vec::new(), false));
            }
        }

        fn control(&mut self, sequence: &str) {
            let (number, command) = sequence.split_at(sequence.len() - 1);
            match command {
                "A" => self.row -= number.parse::<usize>().expect("a number").min(self.row),
                "B" => self.row = (self.row + 1).min(self.rows.len() - 1),
                "K" if number == "2" => self.rows[self.row] = (Vec::new(), false),
                other => panic!("{other}"),
            }
        }

        /// The cursor is at the beginning of a line.
        fn resize(&mut self, columns: usize) {
            assert_eq!(self.column, 0);
            let mut resized = Self::new(columns);
            let mut row = 0;
            for (at, (text, goes_on)) in std::mem::take(&mut self.rows).into_iter().enumerate() {
                if at == self.row {
                    row = resized.row;
                }
                resized.put(&text.into_iter().collect::<String>());
                if !goes_on {
                    resized.next(false);
                }
            }
            (resized.row, resized.column) = (row, 0);
            *self = resized;
        }

        fn lines(&self) -> Vec<String> {
            let rows = self.rows.iter().map(|(text, _)| text.iter().collect::<String>());
            let mut lines: Vec<String> = rows.map(|row| row.trim_end().to_owned()).collect();
            while lines.last().is_some_and(String::is_empty) {
                lines.pop();
            }
            lines
        }
    }

    #[test]
    fn nothing_stale_stays_where_a_terminal_is_made_narrower_and_wider() {
        let began = Instant::now();
        let mut display = Display::new(began);
        display.nodes = 15;
        let mut screen = Screen::new(100);
        screen.put("said before\n");
        for node in ["execute-of-a-lane-that-has-a-long-name", "execute-b"] {
            display.start(node, String::new(), began);
        }
        display
            .remark("execute-b", "  waits for group g (run 20260101-000000-000-000000)".to_owned());
        for (seconds, columns) in
            [(1, 100), (2, 100), (3, 61), (4, 20), (5, 11), (61, 44), (62, 100)]
        {
            screen.resize(columns);
            screen.put(&display.draw((columns, 24), began + Duration::from_secs(seconds)));
            let lines = screen.lines();
            let lines = &lines[lines.len() - 3..];
            assert_eq!(screen.lines().concat(), format!("said before{}", lines.concat()));
            for (line, rest) in
                lines.iter().zip(["execute-of", "execute-b  waits", "/15  2 running"])
            {
                assert!(
                    line.len() < 4 * columns && (columns < 60 || line.contains(rest)),
                    "{line}"
                );
            }
        }
        assert_eq!(
            screen.lines(),
            [
                "said before",
                "     1m 02s  execute-of-a-lane-that-has-a-long-name",
                "     1m 02s  execute-b  waits for group g (run 20260101-000000-000-000000)",
                "     1m 02s  ░░░░░░░░░░░░░░░░░░░░░░░░ 0/15  2 running",
            ]
        );
        screen.resize(30);
        screen.put(&display.erase(30));
        screen.put("said in between\n");
        display.stop("execute-b");
        screen.put(&display.draw((30, 24), began));
        screen.resize(12);
        screen.put(&display.erase(12));
        assert_eq!(screen.lines(), ["said before", "said in betw", "een"]);
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let began = Instant::now();
        let mut display = Display::new(began);
        for n in 0..20 {
            display.start(&format!("execute-{n}"), String::new(), began);
        }
        let lines = |display: &Display, rows| display.lines(80, rows, began).len();
        assert_eq!((lines(&display, 50), lines(&display, 10), lines(&display, 1)), (13, 8, 1));
        (0..10).for_each(|n| display.stop(&format!("execute-{n}")));
        assert!(display.lines(80, 50, began)[9].contains("execute-19"), "others take their place");
        assert_eq!(cut("ab日本".to_owned(), 5), "ab日");
        assert_eq!(cut("ab".to_owned(), 0), "");
    }

    #[test]
    fn a_gauge_is_full_at_the_end_and_left_out_where_it_has_no_room() {
        assert_eq!(gauge(0, 15, 80), format!("{} ", "░".repeat(24)));
        assert_eq!(gauge(5, 15, 80), format!("{}{} ", "█".repeat(8), "░".repeat(16)));
        assert_eq!(gauge(15, 15, 60), format!("{} ", "█".repeat(24)));
        assert_eq!(gauge(0, 0, 60), format!("{} ", "█".repeat(24)));
        assert_eq!(gauge(5, 15, 59), "");
    }
}
