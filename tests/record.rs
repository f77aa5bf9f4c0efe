//! `forkprint record` on programs that fork in all the ways that programs do.

#[path = "common/bench.rs"]
mod bench;
#[path = "common/orphans.rs"]
mod orphans;
#[path = "common/skip.rs"]
mod skip;
#[path = "common/witness.rs"]
mod witness;

use bench::{Bench, Outcome};
use serde_json::Value;
use std::process::Command;

/// Pages of strings that `work()` reads, one reference count after the other.
const DATA: &str = "
import os, signal, sys, time
DATA = [str(number) for number in range(50_000)]
def work():
    return sum(map(len, DATA))
def fork(count, what):
    for number in range(count):
        if not os.fork():
            what(number)
            os._exit(3)
";
/// Pages that these strings cover at least: 50,000 of 56 bytes or less.
const DATA_PAGES: u64 = 500;

/// A recording of a Python program, by the interpreter that tests are run with.
struct Program {
    bench: Bench,
    python: String,
}

impl Program {
    fn new(rest: &str) -> Self {
        let bench = Bench::new();
        std::fs::write(bench.path("program.py"), format!("{DATA}{rest}")).unwrap();
        Self { bench, python: python() }
    }

    fn script(&self) -> String {
        self.bench.path("program.py").to_str().unwrap().to_owned()
    }

    /// Records `python program.py MORE`.
    fn record(&self, options: &[&str], more: &[&str]) -> Outcome {
        let script = self.script();
        let command = [&[self.python.as_str(), &script], more].concat();
        self.record_command(options, &command)
    }

    fn record_command(&self, options: &[&str], command: &[&str]) -> Outcome {
        let outcome =
            self.bench.forkprint(&[&["record", "--format", "json"], options, &["--"], command].concat());
        orphans::assert_none(self.bench.path("").as_path());
        outcome
    }
}

/// The real interpreter: what is on PATH may be a script that starts another one.
fn python() -> String {
    let python = std::env::var("FORKPRINT_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let output = Command::new(python).args(["-c", "import sys; print(sys.executable)"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn steps(recording: &Value) -> Vec<(&str, usize)> {
    let steps = recording["steps"].as_array().unwrap().iter();
    steps.map(|step| (step["name"].as_str().unwrap(), step["workers"].as_array().unwrap().len())).collect()
}

/// Broken pages of each worker in a step, by its name.
fn broken(recording: &Value, name: &str) -> Vec<u64> {
    let step = recording["steps"].as_array().unwrap().iter().find(|step| step["name"] == name);
    let step = step.unwrap_or_else(|| panic!("no step '{name}' in {:?}", steps(recording)));
    let workers = step["workers"].as_array().unwrap().iter();
    workers.map(|worker| worker["broken"].as_u64().unwrap()).collect()
}

fn fates(recording: &Value) -> Vec<String> {
    let workers = recording["workers"].as_array().unwrap().iter();
    let told = |fate: &Value| match fate["kind"].as_str().unwrap() {
        "exited" => fate["code"].to_string(),
        "killed" => fate["signal"].as_str().unwrap().to_owned(),
        other => other.to_owned(),
    };
    workers.map(|worker| told(&worker["fate"])).collect()
}

fn notes(recording: &Value) -> String {
    recording["about"]["notes"].to_string()
}

#[test]
fn a_python_program_is_told_which_line_breaks_whose_pages() {
    let program = Program::new(
        "
fork(2, lambda number: work())
statuses = [os.wait()[1] >> 8 for _ in range(2)]
try:
    os.wait()
except ChildProcessError:
    print('nobody else', statuses, len(sys.argv), file=sys.stderr)
",
    );
    let outcome = program.record(&[], &["--token=hunter2"]);
    let recording = outcome.success();
    assert!(outcome.stderr.contains("nobody else [3, 3] 2"), "{}", outcome.stderr);
    assert_eq!(steps(&recording), [("fork", 2), ("end", 2)]);
    assert!(broken(&recording, "fork").iter().all(|&pages| pages < 100), "{recording}");
    assert!(broken(&recording, "end").iter().all(|&pages| pages > DATA_PAGES), "{recording}");
    assert_eq!(fates(&recording), ["3", "3"]);
    assert!(notes(&recording).contains("the command ended with exit status 0"));
    assert_eq!(recording["about"]["runtime"], "command");
    assert!(recording["about"]["runtime_version"].as_str().unwrap().starts_with("CPython 3."));
    assert!(!recording.to_string().contains("hunter2"), "arguments stay out of recordings");
    if witness::can_be_had() {
        let counts = &recording["reconciliation"];
        assert!(
            counts["unexplained"].as_u64().unwrap() * 100 < counts["broken"].as_u64().unwrap(),
            "{counts}"
        );
        let line = &recording["explained"]["by_line"][0];
        assert_eq!((&line["file"], &line["line"]), (&program.script().into(), &5.into()), "{line}");
        assert_eq!(recording["explained"]["by_owner"][0]["name"], "__main__.DATA[*]");
        assert_eq!(recording["explained"]["by_owner"][0]["cause"], "refcount");
    }
}

/// Dirties pages of 500: the first worker 100 with the bytes that were there, the second 200 with others.
const DIRTY: &str = r"
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void) {
    char *memory = mmap(0, 500 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    madvise(memory, 500 * 4096, MADV_NOHUGEPAGE);
    memset(memory, 7, 500 * 4096);
    for (int worker = 0; worker < 2; worker++)
        if (!fork()) {
            for (int page = 0; page < 100 * (worker + 1); page++)
                *(volatile char *)(memory + 4096 * page + 8) = 7 + worker;
            return 4 + worker;
        }
    int status, all = 0;
    while (wait(&status) > 0)
        all += WEXITSTATUS(status);
    return all;
}
";

fn compile(bench: &Bench, source: &str) -> Option<String> {
    let (code, program) = (bench.path("program.c"), bench.path("program"));
    std::fs::write(&code, source).unwrap();
    let built = Command::new("cc").arg("-O1").arg("-o").arg(&program).arg(&code).status();
    if built.is_ok_and(|status| status.success()) {
        return Some(program.to_str().unwrap().to_owned());
    }
    skip::skip("there is no C compiler");
    None
}

#[test]
fn a_c_program_breaks_the_pages_it_dirties_and_finds_no_child_of_ours() {
    let bench = Bench::new();
    let Some(program) = compile(&bench, DIRTY) else { return };
    for options in [&[][..], &["--witness", "none"], &["--rung", "exclusive"]] {
        let arguments = [&["record", "--format", "json"], options, &["--", &program]].concat();
        let recording = bench.forkprint(&arguments).success();
        let mut pages = broken(&recording, "end");
        pages.sort_unstable();
        assert!((100..140).contains(&pages[0]) && (200..240).contains(&pages[1]), "{pages:?}");
        let last = recording["steps"].as_array().unwrap().last().unwrap();
        let workers = last["workers"].as_array().unwrap();
        let mut ghosts: Vec<u64> = workers.iter().map(|worker| worker["ghost"].as_u64().unwrap()).collect();
        ghosts.sort_unstable();
        assert!(ghosts[0] < 20 && (100..120).contains(&ghosts[1]), "{ghosts:?}");
        let mut codes = fates(&recording);
        codes.sort_unstable();
        assert_eq!(codes, ["4", "5"]);
        assert!(notes(&recording).contains("exit status 9"), "it waited for its own children only");
    }
}

#[test]
fn shells_around_the_program_are_not_taken_for_it() {
    let program = Program::new("fork(2, lambda number: work())\n[os.wait() for _ in range(2)]\n");
    let script = format!(
        "X=$(echo subshell); ls >/dev/null; (echo group); '{}' '{}'; exit 7",
        program.python,
        program.script()
    );
    let recording = program.record_command(&[], &["sh", "-c", &script]).success();
    assert_eq!(steps(&recording).last(), Some(&("end", 2)));
    assert!(broken(&recording, "end").iter().all(|&pages| pages > DATA_PAGES));
    assert!(recording["about"]["runtime_version"].as_str().unwrap().starts_with("CPython 3."));
    assert!(notes(&recording).contains("exit status 7"), "{}", notes(&recording));
}

#[test]
fn a_daemon_that_closes_all_descriptors_is_followed() {
    for delay in ["0", "0.6"] {
        let program = Program::new(
            "
for _ in range(2):
    if os.fork():
        os._exit(0)
    os.setsid()
os.closerange(0, 2048)
time.sleep(float(sys.argv[1]))
fork(2, lambda number: work())
[os.wait() for _ in range(2)]
",
        );
        let recording = program.record(&[], &[delay]).success();
        assert_eq!(steps(&recording), [("fork", 2), ("end", 2)]);
        assert!(broken(&recording, "end").iter().all(|&pages| pages > DATA_PAGES));
        assert_eq!(fates(&recording), ["3", "3"]);
    }
}

#[test]
fn workers_that_execute_or_are_killed_are_told_and_the_others_measured() {
    let program = Program::new(
        "
def what(number):
    if number == 0:
        os.execv('/bin/sleep', ['sleep', '0.4'])
    work()
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.4)
fork(3, what)
print([os.wait()[1] & 255 for _ in range(3)])
",
    );
    let outcome = program.record(&["--interval", "0.2"], &[]);
    let recording = outcome.success();
    assert!(broken(&recording, "before SIGKILL").iter().any(|&pages| pages > DATA_PAGES));
    assert!(broken(&recording, "end")[0] > DATA_PAGES);
    let mut told = fates(&recording);
    told.sort_unstable();
    assert_eq!(told, ["0", "3", "SIGKILL"]);
    assert!(notes(&recording).contains("executed another program, 'sleep'"), "{}", notes(&recording));
    assert_eq!(recording["findings"][0]["code"], "FP900");
    assert!(recording["findings"][0]["evidence"].as_str().unwrap().contains("was killed by SIGKILL"));
    assert!(
        outcome.stderr.contains("[0, 9, 0]") || outcome.stderr.contains("[9, 0, 0]"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn pools_are_looked_at_before_they_are_terminated() {
    for method in ["fork", "forkserver"] {
        let program = Program::new(
            "
import multiprocessing
if __name__ == '__main__':
    with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
        assert pool.map(len, ['a', 'bc'] * 1000) == [1, 2] * 1000
",
        );
        let recording = program.record(&[], &[method]).success();
        let steps = steps(&recording);
        assert!(steps.len() >= 2 && steps.iter().all(|&(_, workers)| workers <= 2), "{method}: {steps:?}");
        assert_eq!(steps.last().map(|step| step.1), Some(2), "{method}: {steps:?}");
        assert!(recording["findings"].as_array().unwrap().is_empty(), "{}", recording["findings"]);
    }
}

#[test]
fn a_program_prints_the_same_recorded_and_not() {
    let program = Program::new(
        "
import subprocess
def seen(number):
    work()
    handlers = [signal.getsignal(number) for number in (signal.SIGTRAP, signal.SIGCHLD)]
    print(number, len(os.listdir('/proc/self/fd')), [str(handler)[:9] for handler in handlers], file=sys.stderr, flush=True)
signal.signal(signal.SIGCHLD, lambda *_: print('a child ended', file=sys.stderr, flush=True))
for number in range(2):
    if not os.fork():
        seen(number)
        sys.exit(5)
    print(os.wait()[1], file=sys.stderr, flush=True)
print(subprocess.run(['sh', '-c', 'exit 6'], preexec_fn=os.getpid), file=sys.stderr, flush=True)
seen('zygote')
raise ValueError('as it was')
",
    );
    let plain = Command::new(&program.python)
        .arg(program.script())
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .output()
        .unwrap();
    let recorded = program.record(&["--quiet"], &[]);
    assert_eq!(recorded.stderr, String::from_utf8(plain.stderr).unwrap());
    let recording = recorded.success();
    assert!(notes(&recording).contains("exit status 1"), "{}", notes(&recording));
    assert_eq!(fates(&recording)[..2], ["5", "5"]);
}

#[test]
fn a_recording_may_end_before_the_program() {
    let endless = "
def serve(number):
    print('serving', file=sys.stderr, flush=True)
    while True:
        work()
        time.sleep(0.02)
fork(2, serve)
time.sleep(600)
";
    let program = Program::new(endless);
    let recording = program.record(&["--interval", "0.05", "--duration", "2"], &[]).success();
    assert_eq!(steps(&recording).last(), Some(&("end", 2)));
    assert!(steps(&recording).len() > 2, "{:?}", steps(&recording));
    assert!(broken(&recording, "end").iter().all(|&pages| pages > DATA_PAGES));
    assert_eq!(fates(&recording), ["finished", "finished"]);
    assert!(notes(&recording).contains("its time was over"));

    let script = program.script();
    let running = program.bench.start(&["record", "--format", "json", "--", &program.python, &script]);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !std::fs::read_to_string(program.bench.path(".stderr")).unwrap().contains("serving") {
        assert!(std::time::Instant::now() < deadline);
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let interrupt = Command::new("kill").args(["-INT", &running.child.id().to_string()]).status();
    assert!(interrupt.unwrap().success());
    let recording = running.wait().success();
    assert_eq!(recording["about"]["complete"], true);
    assert!(notes(&recording).contains("stopped by an interrupt"));
    orphans::assert_none(program.bench.path("").as_path());
}

#[test]
fn the_zygote_may_be_named() {
    let program = Program::new(
        "
import subprocess
if len(sys.argv) == 1:
    subprocess.run([sys.executable, __file__, 'the-inner-one'], check=True)
fork(1, lambda number: time.sleep(0.4))
os.wait()
",
    );
    let title = |options: &[&str]| -> (Value, String) {
        let recording = program.record(options, &[]).success();
        (recording["zygote"]["pid"].clone(), notes(&recording))
    };
    let (_, notes) = title(&["--zygote", "the-inner-one"]);
    assert!(notes.contains("exit status 0"), "{notes}");
    let error = program.record(&["--zygote", "nobody"], &[]);
    assert_eq!(error.status.code(), Some(2));
    assert!(error.stderr.contains("--zygote TEXT-OF-ITS-COMMAND-LINE"), "{}", error.stderr);
}

#[test]
fn what_cannot_be_recorded_is_told_with_a_way_out() {
    let program = Program::new("");
    let cases = [
        (vec!["sh", "-c", "ls >/dev/null; true"], "the command kept no forked child"),
        (vec!["/no/such/program"], "/no/such/program"),
    ];
    for (command, expected) in cases {
        let outcome = program.record_command(&[], &command);
        assert_eq!(outcome.status.code(), Some(2));
        assert!(outcome.stderr.contains(expected), "{}", outcome.stderr);
        assert!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
    }
    let outcome = program.bench.forkprint(&["record", "-p", "1"]);
    assert_eq!(outcome.status.code(), Some(2));
    assert!(outcome.stderr.contains("fix:   start it under forkprint"), "{}", outcome.stderr);
}
