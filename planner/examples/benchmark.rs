//! What `scripts/bench/planner` stands on: repositories of any size, and a stop-watch.
//!
//! `repository` prints a stream for `git fast-import`: the branch `main`, and for each number of
//! `--changes` a branch `change-N` that differs from it in N files, evenly spread, and with `--steps`
//! a branch of so many commits. The same arguments give the same objects. `passed` writes what
//! `executor history --passed` would, had each lane of a plan passed at one of some commits. `measure` runs commands by turns and prints the median, the
//! shortest time, the peak memory of each and its ratio to the first.

#![expect(clippy::disallowed_methods, reason = "a stop-watch starts processes and reads the clock")]
#![expect(clippy::print_stdout, reason = "it prints a table")]

use std::{
    fmt::Write as _,
    fs,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use clap::Parser;
use plans::{LaneRun, ObjectId, Passed, Plan, lane_runs};

#[derive(Parser)]
enum Task {
    /// Print a repository for `git fast-import`.
    Repository(Shape),
    /// Print what passed: the lanes of a plan by turns at the commits on standard input.
    Passed {
        /// A plan of every lane.
        plan: PathBuf,
    },
    /// Run commands by turns, each line of standard input one (words between blanks, a name and
    /// a colon in front).
    Measure {
        /// How often each.
        #[arg(long, default_value_t = 11)]
        runs: usize,
        /// Say how many of so many things are done in a second.
        #[arg(long)]
        per_second: Option<f64>,
        /// Say how much memory is held at most for each byte of a file.
        #[arg(long)]
        per_byte_of: Option<PathBuf>,
    },
}

#[derive(clap::Args)]
struct Shape {
    /// Files that lanes are about, a hundred to a project.
    #[arg(long, default_value_t = 1000)]
    files: usize,
    /// Files that no lane is about.
    #[arg(long, default_value_t = 0)]
    other_files: usize,
    #[arg(long, default_value_t = 10)]
    lanes: usize,
    /// Globs of each lane.
    #[arg(long, default_value_t = 20)]
    globs: usize,
    /// Jobs of all lanes together; nothing: one each.
    #[arg(long)]
    jobs: Option<usize>,
    /// How many files the branches change.
    #[arg(long, value_delimiter = ',', default_value = "100")]
    changes: Vec<usize>,
    /// How many commits the branch `steps` has, of five files each.
    #[arg(long, default_value_t = 0)]
    steps: usize,
    #[arg(long, default_value = "projects")]
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum Kind {
    /// Each lane has a project of its own and depends on some others.
    Projects,
    /// Every glob of every lane is in one directory, where all changes are.
    OneDirectory,
    /// Every lane has the same globs.
    SameGlobs,
    /// Every glob stands for as many alternatives as one may.
    Braces,
    /// One glob stands for more alternatives than one may.
    BraceBomb,
}

fn main() -> io::Result<()> {
    match Task::parse() {
        Task::Repository(shape) => repository(&shape, &mut BufWriter::new(io::stdout().lock())),
        Task::Passed { plan } => passed(&plan),
        Task::Measure { runs, per_second, per_byte_of } => {
            measure(runs, per_second, per_byte_of.as_deref())
        }
    }
}

fn repository(shape: &Shape, out: &mut impl Write) -> io::Result<()> {
    commit(out, "main", None)?;
    for (path, text) in
        [("ci/forge-lanes.toml", manifest(shape)), ("ci/catalog.toml", catalog(shape))]
    {
        write!(out, "M 100644 inline {path}\ndata {}\n{text}\n", text.len())?;
    }
    for position in 0..shape.files {
        content(out, &file(shape, position), "before")?;
    }
    for position in 0..shape.other_files {
        content(out, &format!("other/{}", file(shape, position)), "before")?;
    }
    for &count in &shape.changes {
        commit(out, &format!("change-{count}"), Some("main"))?;
        for position in 0..count {
            content(out, &file(shape, position * shape.files / count), "after")?;
        }
    }
    for step in 0..shape.steps {
        commit(out, "steps", (step == 0).then_some("main"))?;
        for number in 0..5 {
            let position = (step * 5 + number) * shape.files / (shape.steps * 5);
            content(out, &file(shape, position), "after")?;
        }
    }
    out.flush()
}

fn passed(plan: &Path) -> io::Result<()> {
    let commits: Vec<ObjectId> = io::stdin()
        .lines()
        .map(|line| ObjectId::new(line?).map_err(io::Error::other))
        .collect::<io::Result<_>>()?;
    let (plan, digest) = Plan::from_json(&fs::read(plan)?).map_err(io::Error::other)?;
    let mut document = Passed::default();
    for (at, (lane, run)) in lane_runs(&plan, &digest, "1", |_| true).into_iter().enumerate() {
        document.add(&lane, LaneRun { commit: commits[at % commits.len()].clone(), ..run });
    }
    print!("{}", document.to_json());
    Ok(())
}

/// A file of its own content, so that no two directories are the same tree.
fn content(out: &mut impl Write, path: &str, when: &str) -> io::Result<()> {
    write!(out, "M 100644 inline {path}\ndata {}\n{path} {when}\n", path.len() + when.len() + 1)
}

fn commit(out: &mut impl Write, branch: &str, parent: Option<&str>) -> io::Result<()> {
    writeln!(
        out,
        "commit refs/heads/{branch}\ncommitter b <b@example.com> 1700000000 +0000\ndata 0"
    )?;
    parent.map_or(Ok(()), |parent| writeln!(out, "from refs/heads/{parent}"))
}

const FILES_OF_A_PROJECT: usize = 100;

fn project(number: usize) -> String {
    format!("area-{}/project-{number}", number / 50)
}

fn file(shape: &Shape, position: usize) -> String {
    if shape.kind == Kind::OneDirectory {
        return format!("data/set-{position}-of-many.txt");
    }
    let (project, at) = (project(position / FILES_OF_A_PROJECT), position % FILES_OF_A_PROJECT);
    match at {
        0..60 => format!("{project}/src/module-{}/file_{at}.rs", at / 12),
        60..80 => format!("{project}/tests/case_{at}.rs"),
        80..95 => format!("{project}/docs/page-{at}.md"),
        _ => format!(
            "{project}/{}",
            ["Cargo.toml", "README.md", "build.rs", "package.json", "ci.yaml"][at - 95]
        ),
    }
}

fn glob(shape: &Shape, lane: usize, position: usize) -> String {
    let own = project(lane);
    let needed = || project((lane + position * 7) % shape.lanes);
    match shape.kind {
        Kind::OneDirectory => {
            let number = lane * shape.globs + position;
            match number % 3 {
                0 => format!("data/set-{number}-*.txt"),
                1 => format!("data/*-{number}-of-*"),
                _ => format!("data/s?t-{number}[-_]*.txt"),
            }
        }
        Kind::SameGlobs => format!("area-*/project-{position}/**"),
        Kind::Braces => format!(
            "{}/{{a,b}}{{a,b}}{{a,b}}{{a,b}}{{a,b}}{{a,b}}{{a,b}}{{a,b}}{{a,b}}{position}",
            own
        ),
        Kind::BraceBomb => "{a,b}".repeat(40),
        Kind::Projects => match position {
            0 => format!("{own}/src/**"),
            1 => format!("{own}/tests/**/*.rs"),
            2 => format!("{own}/Cargo.toml"),
            3 => format!("{}/src/**", needed()),
            4 => "shared/**/*.proto".to_owned(),
            5 => format!("{own}/docs/*.md"),
            6 => format!("{own}/{{build.rs,package.json}}"),
            7 => format!("{own}/**/*.y?ml"),
            8 => format!("shared/library-{}/**", lane % 40),
            9..13 => format!("{}/src/module-{}/**", needed(), position % 5),
            13..16 => format!("{}/src/**/*_[0-9]*.rs", needed()),
            16 => "Cargo.lock".to_owned(),
            17 => "tools/*.py".to_owned(),
            _ => format!("area-{}/shared-{position}/**", lane / 50),
        },
    }
}

fn manifest(shape: &Shape) -> String {
    let mut text = "version = 1\ndefault_branch = \"main\"\nignore = [\"**/README.md\"]\nrun_all = [\"flake.lock\"]\n".to_owned();
    for lane in 0..shape.lanes {
        let globs: Vec<String> =
            (0..shape.globs).map(|at| format!("  \"{}\",\n", glob(shape, lane, at))).collect();
        let _ = write!(
            text,
            "\n[[branch.lanes]]\nid = \"lane-{lane}\"\ntitle = \"check lane {lane}\"\ntarget = \"target-{lane}\"\npaths = [\n{}]\n",
            globs.concat()
        );
    }
    text
}

fn catalog(shape: &Shape) -> String {
    let mut text = "version = 1\n\n[hosts.build]\nssh = \"ci@build\"\nwork_dir = \"/var/tmp/forge-lanes\"\nmax_jobs = 8\n\n\
        [bases.linux]\nplacement = { remote_ssh = { host = \"build\" } }\nruntime = { incus = { image = \"ci\", profiles = [\"ci\"] } }\ntimeout_secs = 1800\n"
        .to_owned();
    let jobs = shape.jobs.unwrap_or(shape.lanes);
    for lane in 0..shape.lanes {
        let _ = write!(
            text,
            "\n[[targets]]\nid = \"target-{lane}\"\ndescription = \"everything of lane {lane}\"\n"
        );
        for job in lane * jobs / shape.lanes..(lane + 1) * jobs / shape.lanes {
            let _ = write!(
                text,
                "[[targets.jobs]]\nid = \"job-{job}\"\ndescription = \"job {job} of lane {lane}\"\nbase = \"linux\"\ncommand = {{ argv = [\"just\", \"test\", \"project-{lane}\", \"part-{job}\"] }}\n"
            );
        }
    }
    text
}

/// How much of the shortest time the median of the first half of the runs may be above it: beyond that the machine
/// had other things to do, and neither number is a result.
const NOISE: f64 = 0.25;

fn measure(runs: usize, per_second: Option<f64>, per_byte_of: Option<&Path>) -> io::Result<()> {
    let lines: Vec<String> = io::stdin().lines().collect::<io::Result<_>>()?;
    let commands: Vec<(&str, Vec<&str>)> = lines
        .iter()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, words)| (name, words.split_whitespace().collect()))
        .collect();
    let size = per_byte_of.map(fs::metadata).transpose()?.map(|file| file.len());
    let before = load();
    let mut times = vec![Vec::with_capacity(runs); commands.len()];
    // By turns, so that whatever else the machine does meets all of them; one round to warm up.
    for round in 0..=runs {
        for ((_, words), times) in commands.iter().zip(&mut times) {
            let start = Instant::now();
            run(words)?;
            if round > 0 {
                times.push(start.elapsed());
            }
        }
    }
    let (mut first, mut noisy) = (None, false);
    for ((name, words), times) in commands.iter().zip(&mut times) {
        times.sort_unstable();
        let (best, median) = (times[0], times[times.len() / 2]);
        noisy |= median.as_secs_f64() > best.as_secs_f64() * (1.0 + NOISE);
        let (best_of_first, first) = *first.get_or_insert((best, median));
        let ratio = |time: Duration, of: Duration| time.as_secs_f64() / of.as_secs_f64();
        let peak = peak(words);
        println!(
            "  {name:<34} {:>8.1} ms (best {:>8.1})  {:>6.2} x (best {:>5.2})  {:>6} MB{}{}",
            ms(median),
            ms(best),
            ratio(median, first),
            ratio(best, best_of_first),
            peak.map_or("?".to_owned(), |kib| (kib / 1024).to_string()),
            per_second.map_or(String::new(), |count| {
                format!(
                    "  {:.0}/s (best {:.0})",
                    count / median.as_secs_f64(),
                    count / best.as_secs_f64()
                )
            }),
            peak.zip(size).map_or(String::new(), |(kib, size)| {
                format!(
                    "  {:.2} x of {:.1} MB",
                    kib as f64 * 1024.0 / size as f64,
                    size as f64 / 1e6
                )
            }),
        );
    }
    println!("  load {before} before, {} after", load());
    if noisy {
        println!("  NOT A RESULT: a median is more than {:.0} % above the best run", NOISE * 100.0);
    }
    Ok(())
}

fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or("?").to_owned()
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn run(words: &[&str]) -> io::Result<()> {
    let ended = Command::new(words[0])
        .args(&words[1..])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    // 2 is an answer, too: how fast a bad manifest is refused is measured like the rest.
    if matches!(ended.code(), Some(0 | 2)) {
        Ok(())
    } else {
        Err(io::Error::other(format!("{words:?}: {ended}")))
    }
}

/// The most memory a command held at once, in KiB, as GNU time sees it.
fn peak(words: &[&str]) -> Option<u64> {
    let run = Command::new("time")
        .args(["-q", "-f", "peak %M", "--"])
        .args(words)
        .stdout(Stdio::null())
        .output()
        .ok()?;
    let said = String::from_utf8_lossy(&run.stderr);
    said.lines().rev().find_map(|line| line.strip_prefix("peak "))?.trim().parse().ok()
}
