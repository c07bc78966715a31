//! The plan on a terminal: what runs and why, what does not and what came nearest, every node
//! under its machine and isolation. Fits the width it is given; never cuts an id.

use anstyle::{AnsiColor, Style};
use plans::{Plan, PlanLane};

use super::{
    Options,
    durations::{Durations, Estimate},
    graph::Places,
    text::{Lines, count, one_line, ranges, width, wrap},
    words,
};

const HEADING: Style = Style::new().bold();
const RUNS: Style = AnsiColor::Green.on_default().bold();
const PLACE: Style = AnsiColor::Cyan.on_default();
const WARNING: Style = AnsiColor::Yellow.on_default();
const FAINT: Style = Style::new().dimmed();

/// The narrowest terminal that is cared for.
const MIN_WIDTH: usize = 60;
/// How many changed paths are listed before they are counted.
const PATHS: usize = 10;

/// Returns the plan for a terminal.
#[must_use]
pub fn human(plan: &Plan, options: &Options) -> String {
    let estimate = options.durations.as_ref().map(|durations| durations.estimate(plan));
    let mut view = View {
        out: Lines::default(),
        width: options.width.max(MIN_WIDTH),
        color: options.color,
        plan,
        durations: options.durations.as_ref(),
    };
    view.head(options.digest.as_deref());
    view.changes();
    view.selected(estimate.as_ref());
    view.skipped();
    view.nodes();
    if let Some(estimate) = &estimate {
        view.estimate(estimate);
    }
    view.out.finish()
}

struct View<'a> {
    out: Lines,
    width: usize,
    color: bool,
    plan: &'a Plan,
    durations: Option<&'a Durations>,
}

impl View<'_> {
    fn paint(&self, style: Style, text: &str) -> String {
        if self.color { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    fn heading(&mut self, text: &str) {
        self.out.gap();
        let painted = self.paint(HEADING, text);
        self.out.line(painted);
    }

    /// Writes `text` behind `indent` spaces, on as many lines as it takes.
    fn wrapped(&mut self, indent: usize, style: Style, text: &str) {
        for line in wrap(text, self.width - indent) {
            let painted = self.paint(style, &line);
            self.out.line(format!("{:indent$}{painted}", ""));
        }
    }

    fn head(&mut self, digest: Option<&str>) {
        let plan = self.plan;
        let headline = self.paint(HEADING, &words::headline(plan));
        self.out.line(headline);
        let what = words::selection(plan.selection());
        self.wrapped(0, Style::new(), &format!("{what}, {}", words::source(plan.source())));
        if let Some(note) = &plan.selection().note {
            self.wrapped(0, WARNING, &format!("note: {}", one_line(note)));
        }
        if let Some(digest) = digest {
            self.wrapped(0, FAINT, &one_line(digest));
        }
    }

    fn changes(&mut self) {
        let plan = self.plan;
        if plan.changes().is_empty() {
            return;
        }
        self.heading(&format!("Changes ({})", plan.changes().len()));
        for change in plan.changes().iter().take(PATHS) {
            self.wrapped(
                2,
                Style::new(),
                &format!("{:<12} {}", change.status.as_str(), one_line(&change.path.display())),
            );
        }
        if plan.changes().len() > PATHS {
            let rest = plan.changes().len() - PATHS;
            self.wrapped(2, FAINT, &format!("and {rest} more"));
        }
        if !plan.uncovered().is_empty() {
            let first: Vec<String> = plan
                .uncovered()
                .iter()
                .take(3)
                .map(|path| format!("`{}`", one_line(&path.display())))
                .collect();
            let rest = match plan.uncovered().len() - first.len() {
                0 => String::new(),
                rest => format!(" and {rest} more"),
            };
            let text = format!("no lane covers {}{rest}", first.join(", "));
            self.wrapped(2, WARNING, &text);
        }
    }

    fn selected(&mut self, estimate: Option<&Estimate>) {
        let lanes: Vec<&PlanLane> = self.plan.lanes().iter().filter(|lane| lane.selected).collect();
        if lanes.is_empty() {
            return;
        }
        self.heading(&format!("Runs ({})", lanes.len()));
        for lane in lanes {
            let time = estimate
                .and_then(|estimate| estimate.lanes.get(&lane.id))
                .map(|time| format!(", {} of machine time", words::measured(*time)))
                .unwrap_or_default();
            let id = self.paint(RUNS, lane.id.as_str());
            let title = match one_line(&lane.title) {
                title if title == lane.id.as_str() => String::new(),
                title => format!(" ({title})"),
            };
            let rest = format!("{title}: {}{time}", count(lane.nodes.len(), "node"));
            if 2 + width(lane.id.as_str()) + width(&rest) <= self.width {
                self.out.line(format!("  {id}{rest}"));
            } else {
                self.out.line(format!("  {id}"));
                self.wrapped(4, Style::new(), rest.trim_start());
            }
            for reason in &lane.reasons {
                self.wrapped(4, Style::new(), &words::plain(&words::reason(reason)));
            }
        }
    }

    fn skipped(&mut self) {
        let lanes: Vec<&PlanLane> =
            self.plan.lanes().iter().filter(|lane| !lane.selected).collect();
        let unlisted = self.plan.selection().lanes_not_listed.unwrap_or(0);
        let number = lanes.len() as u64 + unlisted;
        if number == 0 {
            return;
        }
        self.heading(&format!("Does not run ({number})"));
        let column = lanes
            .iter()
            .map(|lane| width(lane.id.as_str()))
            .max()
            .unwrap_or(0)
            .clamp(8, self.width / 3);
        for lane in lanes {
            let why: Vec<String> =
                lane.reasons.iter().map(|it| words::plain(&words::reason(it))).collect();
            let why = wrap(&why.join("; "), self.width - column - 4);
            let mut why = why.iter();
            if width(lane.id.as_str()) <= column {
                let first = why.next().map(|line| self.paint(FAINT, line)).unwrap_or_default();
                self.out.line(format!("  {:column$}  {first}", lane.id));
            } else {
                self.out.line(format!("  {}", lane.id));
            }
            for line in why {
                let line = self.paint(FAINT, line);
                self.out.line(format!("  {:column$}  {line}", ""));
            }
        }
        if unlisted > 0 {
            self.wrapped(
                2,
                FAINT,
                &format!("{unlisted} more, which a scenario's plan only counts"),
            );
        }
    }

    fn nodes(&mut self) {
        let plan = self.plan;
        if plan.nodes().is_empty() {
            return;
        }
        self.heading(&format!("Nodes ({})", plan.nodes().len()));
        let columns = Columns::new(self.width, plan, self.durations);
        let header =
            self.paint(FAINT, &columns.row("#", "node", "timeout", "usual", "waits for")[0]);
        self.out.line(header);
        let places = Places::new(plan);
        for (place, name) in places.names.iter().enumerate() {
            self.wrapped(2, PLACE, name);
            for (position, node) in plan.nodes().iter().enumerate() {
                if places.of_node[position] == place {
                    self.node(&columns, position, node);
                }
            }
        }
    }

    fn node(&mut self, columns: &Columns, position: usize, node: &plans::Node) {
        let mut before: Vec<usize> =
            self.plan.graph().dependencies(position).map(|position| position + 1).collect();
        before.sort_unstable();
        let measured = self.durations.and_then(|durations| durations.node(&node.id));
        let usual = measured.map(|it| words::measured(it.median)).unwrap_or_default();
        let rows = columns.row(
            &(position + 1).to_string(),
            node.id.as_str(),
            &words::seconds(node.spec.timeout_secs),
            &usual,
            &ranges(&before),
        );
        for row in rows {
            self.out.line(row);
        }
        if let Some(which) = node.member.in_words() {
            self.wrapped(columns.number + 6, FAINT, &which);
        }
        if let Some(when) = node.run_if.in_words() {
            self.wrapped(columns.number + 6, FAINT, when);
        }
        if !node.concurrency_groups.is_empty() {
            let groups: Vec<&str> =
                node.concurrency_groups.iter().map(plans::GroupName::as_str).collect();
            let text = format!("one at a time in {}", groups.join(", "));
            self.wrapped(columns.number + 6, FAINT, &text);
        }
        if let Some(measured) = measured.filter(|measured| measured.flaky > 0) {
            let text = format!("flaky: {} of {}", measured.flaky, count_runs(measured.runs));
            self.wrapped(columns.number + 6, WARNING, &text);
        }
    }

    fn estimate(&mut self, estimate: &Estimate) {
        if self.plan.nodes().is_empty() {
            return;
        }
        self.heading("Expected, from earlier runs");
        if estimate.unknown == self.plan.nodes().len() {
            self.wrapped(2, WARNING, "none of the nodes was ever measured");
            return;
        }
        let time = words::measured;
        self.wrapped(2, Style::new(), &format!("time          {}", time(estimate.expected)));
        self.wrapped(2, Style::new(), &format!("machine time  {}", time(estimate.machine_time)));
        self.wrapped(2, Style::new(), &format!("longest chain {}", time(estimate.critical_time)));
        for id in &estimate.critical_path {
            self.wrapped(4, FAINT, id.as_str());
        }
        if estimate.unknown > 0 {
            let text = format!(
                "{} never measured; the times above leave them out",
                count(estimate.unknown, "node")
            );
            self.wrapped(2, WARNING, &text);
        }
    }
}

fn count_runs(runs: u64) -> String {
    count(usize::try_from(runs).unwrap_or(usize::MAX), "run")
}

/// The columns of the table of nodes: as wide as what stands in them, the id takes the rest.
struct Columns {
    number: usize,
    id: usize,
    timeout: usize,
    usual: Option<usize>,
    after: usize,
}

impl Columns {
    fn new(room: usize, plan: &Plan, durations: Option<&Durations>) -> Self {
        let widest =
            |least: usize, widths: &mut dyn Iterator<Item = usize>| widths.fold(least, usize::max);
        let nodes = || plan.nodes().iter();
        let number = plan.nodes().len().to_string().len();
        let timeout = widest(
            "timeout".len(),
            &mut nodes().map(|node| words::seconds(node.spec.timeout_secs).len()),
        );
        let usual = durations.map(|durations| {
            let known = nodes().filter_map(|node| durations.node(&node.id));
            widest("usual".len(), &mut known.map(|it| words::measured(it.median).len()))
        });
        let after = 9;
        let taken = 4 + number + 2 + 2 + timeout + usual.map_or(0, |usual| usual + 2) + 2 + after;
        let id = room.saturating_sub(taken).max(8);
        let longest = widest("node".len(), &mut nodes().map(|node| node.id.as_str().len()));
        // Room that no id needs is for what a node waits for.
        let (id, after) = (id.min(longest), after + id.saturating_sub(longest).min(15));
        Self { number, id, timeout, usual, after }
    }

    /// Returns the lines of a row; what does not fit into its column gets a line of its own.
    fn row(&self, number: &str, id: &str, timeout: &str, usual: &str, after: &str) -> Vec<String> {
        let (number_width, id_width) = (self.number, self.id);
        let after = wrap(after, self.after);
        let usual = match self.usual {
            Some(columns) => format!("  {usual:>columns$}"),
            None => String::new(),
        };
        let tail = |id: &str, number: &str| {
            let timeout_width = self.timeout;
            format!(
                "    {number:>number_width$}  {id:id_width$}  {timeout:>timeout_width$}{usual}  {}",
                after[0]
            )
        };
        let mut rows = Vec::new();
        if width(id) <= id_width {
            rows.push(tail(id, number));
        } else {
            let room = id_width + self.timeout + usual.len() + 2 + self.after;
            let mut parts = wrap(id, room).into_iter();
            let first = parts.next().unwrap_or_default();
            rows.push(format!("    {number:>number_width$}  {first}"));
            rows.extend(parts.map(|part| format!("    {:number_width$}  {part}", "")));
            rows.push(tail("", ""));
        }
        let before = 4 + number_width + 2 + id_width + 2 + self.timeout + usual.len() + 2;
        rows.extend(after[1..].iter().map(|line| format!("{:before$}{line}", "")));
        rows
    }
}
