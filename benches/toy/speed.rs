//! The interpreter against CPython, and compiled code against the interpreter.
//!
//! Every program exists twice, in the toy language and in Python, and does the same work. The three
//! ways of running take turns, so that a machine that gets slower or faster does so for all of them;
//! what counts is the median of the ratios' sides. `FORKPRINT_TEST_PYTHON` names the Python to run.

use super::bounds::Bounds;
use super::captured::Captured;
use forkprint::runtimes::Runtime;
use forkprint::runtimes::toy::{JitMode, ToyOptions, ToyRuntime};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// Turns of every program, after two that warm up.
const TURNS: usize = 15;

/// Reads a line, runs the program once, and answers its result and the seconds it took.
const DRIVER: &str = "
import sys, time
space = {}
exec(compile(open(sys.argv[1]).read(), sys.argv[1], 'exec'), space)
for line in sys.stdin:
    start = time.perf_counter()
    result = space['run']()
    seconds = time.perf_counter() - start
    print(result, seconds, flush=True)
";

/// Programs, and how much faster than interpreted they have to be compiled.
const PROGRAMS: [(&str, Option<f64>); 10] = [
    ("integers", Some(10.0)),
    ("nested", Some(10.0)),
    ("sieve", None),
    ("floats", Some(10.0)),
    ("calls", Some(3.0)),
    ("fields", Some(3.0)),
    ("methods", Some(3.0)),
    ("lists", None),
    ("strings", None),
    ("closures", None),
];

/// CPython's times that the interpreter may take.
const OF_CPYTHON: f64 = 3.0;

pub(super) fn run(bounds: &mut Bounds) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/toy/programs");
    println!(
        "medians of {TURNS} turns; the interpreter in CPython's times, compiled code in the interpreter's"
    );
    println!(
        "{:<10} {:>12} {:>12} {:>12} {:>9} {:>9}",
        "", "CPython", "interpreter", "compiled", "of CPython", "faster"
    );
    let mut ratios = Vec::new();
    for (name, faster) in PROGRAMS {
        let [python, interpreted, compiled] = measure(&folder, name);
        let ratio = |over: Duration, under: Duration| over.as_secs_f64() / under.as_secs_f64();
        let (of_cpython, gain) = (ratio(interpreted, python), ratio(interpreted, compiled));
        println!(
            "{name:<10} {python:>12.2?} {interpreted:>12.2?} {compiled:>12.2?} {of_cpython:>9.2} {gain:>9.1}"
        );
        ratios.push((name, faster, of_cpython, gain));
    }
    println!();
    for (name, faster, of_cpython, gain) in ratios {
        bounds.figure_at_most(&format!("{name}: interpreter / CPython"), OF_CPYTHON, of_cpython);
        if let Some(faster) = faster {
            bounds.figure_at_least(&format!("{name}: times faster compiled"), faster, gain);
        }
    }
}

fn measure(folder: &Path, name: &str) -> [Duration; 3] {
    let source = std::fs::read_to_string(folder.join(format!("{name}.toy"))).expect("the program");
    let mut python = Python::start(&folder.join(format!("{name}.py")));
    let mut interpreter = Toy::load(name, &source, JitMode::Off);
    let mut compiled = Toy::load(name, &source, JitMode::Patch);
    let mut times = [const { Vec::new() }; 3];
    for turn in 0..TURNS + 2 {
        let turns = [python.run(), interpreter.run(), compiled.run()];
        for (times, (result, time)) in times.iter_mut().zip(&turns) {
            assert_eq!(*result, turns[0].0, "{name}: the programs do not do the same");
            if turn >= 2 {
                times.push(*time);
            }
        }
    }
    times.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2]
    })
}

struct Python {
    child: Child,
    answers: BufReader<ChildStdout>,
}

impl Python {
    fn start(program: &Path) -> Self {
        let python = std::env::var("FORKPRINT_TEST_PYTHON").unwrap_or_else(|_| "python3.12".to_owned());
        let mut child = Command::new(python)
            .args(["-c", DRIVER])
            .arg(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a Python; name it in FORKPRINT_TEST_PYTHON");
        let answers = BufReader::new(child.stdout.take().expect("its output"));
        Self { child, answers }
    }

    fn run(&mut self) -> (String, Duration) {
        writeln!(self.child.stdin.as_mut().expect("its input")).expect("it listens");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("it answers");
        let (result, seconds) = line.trim().rsplit_once(' ').expect("a result and a time");
        (result.to_owned(), Duration::from_secs_f64(seconds.parse().expect("seconds")))
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

struct Toy {
    runtime: ToyRuntime,
    output: Captured,
}

impl Toy {
    fn load(name: &str, source: &str, jit: JitMode) -> Self {
        let output = Captured::default();
        let options = ToyOptions { jit, ..ToyOptions::default() };
        let runtime = ToyRuntime::load_with_output(name, source, options, Box::new(output.clone()));
        Self { runtime: runtime.expect("the program loads"), output }
    }

    fn run(&mut self) -> (String, Duration) {
        let start = Instant::now();
        self.runtime.run_step(0).expect("the program runs");
        let time = start.elapsed();
        (self.output.take().trim().to_owned(), time)
    }
}
