//! A program cannot tell whether its page faults are witnessed, and none of them is lost.

#[path = "common/bench.rs"]
mod bench;
#[path = "common/skip.rs"]
mod skip;
#[path = "common/traced.rs"]
mod traced;
#[path = "common/witness.rs"]
mod witness;

use bench::Bench;
use serde_json::json;
use std::collections::HashSet;
use traced::Seen;

/// Data whose pages break whatever a step does with it.
const DATA: &str = "
import ctypes, forkprint, os, signal, subprocess, sys, threading, traceback
DATA = [str(number) for number in range(50_000)]
def touch():
    return sum(map(len, DATA))
";

/// Buffers of so many pages, and how to write to some of them.
const BUFFER: &str = "
PAGE = 4096
BUFFER = bytearray(b'1') * (2002 * PAGE)
START = -(-ctypes.addressof(ctypes.c_char.from_buffer(BUFFER)) // PAGE)
BASE = START * PAGE - ctypes.addressof(ctypes.c_char.from_buffer(BUFFER))
def dirty(first, end):
    for page in range(first, end):
        BUFFER[BASE + page * PAGE] = 50
";

/// A workload of one step, with more at module level.
fn workload(module: &[&str], body: &str) -> String {
    let body = body.trim().lines().map(|line| format!("    {line}\n")).collect::<String>();
    format!("{DATA}{}\n@forkprint.step\ndef only():\n    print(touch())\n{body}", module.concat())
}

fn step(body: &str) -> String {
    workload(&[], body)
}

/// Runs it untraced and traced; both are seen to do the same. `None` where nothing can be traced.
#[track_caller]
fn same(source: &str) -> Option<Seen> {
    if !witness::can_be_had() {
        return None;
    }
    let bench = Bench::new();
    let untraced = traced::run(&bench, source, "none");
    let traced = traced::run(&bench, source, "sigtrap");
    assert_eq!(traced, untraced);
    Some(traced)
}

/// The one worker was killed by a signal.
#[track_caller]
fn killed(source: &str, signal: &str) {
    let Some(seen) = same(source) else { return };
    assert_eq!(seen.fates, [json!({"kind": "killed", "signal": signal, "step": "only"})]);
}

#[test]
fn results_are_the_same() {
    let body = "
def depth(reached=0):
    try:
        return depth(reached + 1)
    except RecursionError:
        return reached
print(depth(), sys.getswitchinterval(), threading.active_count(), len(os.listdir('/proc/self/task')))
try:
    {}['missing']
except KeyError:
    traceback.print_exc(file=sys.stdout)
print(signal.getsignal(signal.SIGTRAP), signal.pthread_sigmask(signal.SIG_BLOCK, []))
print(sorted(name for name in os.environ if name.startswith(('LD_', 'PYTHON', 'FORKPRINT'))))
";
    let Some(seen) = same(&step(body)) else { return };
    assert!(seen.says("KeyError: 'missing'"), "{seen:?}");
    assert_eq!(seen.code, Some(0));
}

#[test]
fn children_of_a_worker_are_left_alone() {
    let body = "
print(subprocess.run(['sh', '-c', 'echo ${LD_PRELOAD-unset}; exit 4'], capture_output=True))
child = os.fork()
if child == 0:
    touch()
    os._exit(5)
print(os.waitpid(child, 0)[1])
child = os.fork()
if child == 0:
    os.execvp('sh', ['sh', '-c', 'exit 6'])
print(os.waitpid(child, 0)[1])
";
    let Some(seen) = same(&step(body)) else { return };
    assert!(seen.says("returncode=4"), "{seen:?}");
    assert_eq!([2, 1].map(|line| seen.line_from_the_end(line)), ["1280", "1536"]);
}

#[test]
fn an_exception_has_the_same_traceback() {
    let Some(seen) = same(&step("1 / 0")) else { return };
    assert!(seen.says("ZeroDivisionError"), "{seen:?}");
}

#[test]
fn a_worker_ends_by_itself_as_it_wants() {
    let Some(seen) = same(&step("sys.exit(3)")) else { return };
    assert_eq!(seen.fates[0]["message"], "SystemExit: 3");
    let Some(seen) = same(&step("os._exit(7)")) else { return };
    assert_eq!(seen.fates[0]["code"], 7);
}

#[test]
fn signals_kill_as_they_did() {
    killed(&step("os.kill(os.getpid(), signal.SIGKILL)"), "SIGKILL");
    killed(&step("os.kill(os.getpid(), signal.SIGTERM)"), "SIGTERM");
    killed(&step("ctypes.string_at(8)"), "SIGSEGV");
}

#[test]
fn a_trap_that_nobody_handles_kills() {
    killed(&step("os.kill(os.getpid(), signal.SIGTRAP)"), "SIGTRAP");
}

#[test]
fn a_fatal_error_prints_its_traceback() {
    let source = workload(&["import faulthandler\nfaulthandler.enable()\n"], "ctypes.string_at(8)");
    let Some(seen) = same(&source) else { return };
    assert!(seen.says("Fatal Python error"), "{seen:?}");
}

/// A handler of the program for the signal that the witness uses.
const HANDLER: &str = "
CAUGHT = []
def caught(number, frame):
    CAUGHT.append((number, frame.f_code.co_name))
";

#[test]
fn a_handler_of_the_zygote_runs_once_for_each_signal() {
    let body = "
os.kill(os.getpid(), signal.SIGTRAP)
print(CAUGHT, signal.getsignal(signal.SIGTRAP) is caught)
dirty(0, 500)
print(CAUGHT)
";
    let install = "signal.signal(signal.SIGTRAP, caught)\n";
    let Some(seen) = same(&workload(&[BUFFER, HANDLER, install], body)) else { return };
    assert_eq!([2, 1].map(|line| seen.line_from_the_end(line)), ["[(5, 'only')] True", "[(5, 'only')]"]);
}

#[test]
fn a_handler_of_the_worker_runs_once_for_each_signal() {
    let body = "
dirty(0, 500)
print(signal.signal(signal.SIGTRAP, caught) == signal.SIG_DFL)
dirty(500, 1000)
os.kill(os.getpid(), signal.SIGTRAP)
print(CAUGHT)
dirty(1000, 1500)
print(signal.signal(signal.SIGTRAP, signal.SIG_IGN) is caught)
os.kill(os.getpid(), signal.SIGTRAP)
dirty(1500, 2000)
print(CAUGHT, START)
";
    if !witness::can_be_had() {
        return;
    }
    let bench = Bench::new();
    let seen = traced::run(&bench, &workload(&[BUFFER, HANDLER], body), "sigtrap");
    let printed = [4, 3, 2, 1].map(|line| seen.line_from_the_end(line));
    assert_eq!(printed[..3], ["True", "[(5, 'only')]", "True"]);
    let start = printed[3].strip_prefix("[(5, 'only')] ").unwrap().parse().unwrap();
    // The program's own handler takes no event away from the witness.
    assert_eq!(traced::seen_in(&traced::recording(&bench), start, 2000).len(), 2000);
}

/// Traces a workload that writes to all 2,000 pages of its buffer and prints where it begins.
fn all_are_seen(body: &str) -> Option<Vec<forkprint::family::breaks::Break>> {
    if !witness::can_be_had() {
        return None;
    }
    let bench = Bench::new();
    let seen = traced::run(&bench, &workload(&[BUFFER], body), "sigtrap");
    let start = seen.line_from_the_end(1).parse().unwrap();
    let rows = traced::seen_in(&traced::recording(&bench), start, 2000);
    assert_eq!(rows.len(), 2000);
    Some(rows)
}

#[test]
fn a_blocked_signal_loses_no_event() {
    let body = "
before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTRAP})
dirty(0, 2000)
assert signal.pthread_sigmask(signal.SIG_SETMASK, before) == {signal.SIGTRAP}
print(START)
";
    all_are_seen(body);
}

#[test]
fn four_threads_at_once_lose_no_event() {
    let body = "
def fill(part):
    ctypes.memset((START + part * 500) * PAGE, 50, 500 * PAGE)
threads = [threading.Thread(target=fill, args=(part,)) for part in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(START)
";
    let Some(rows) = all_are_seen(body) else { return };
    let threads: HashSet<u32> = rows.iter().map(|row| row.thread).collect();
    assert_eq!(threads.len(), 4);
}

#[test]
fn a_worker_killed_in_the_middle_leaves_a_capture() {
    if !witness::can_be_had() {
        return;
    }
    let bench = Bench::new();
    let middle = "
dirty(1000, 1500)
os.kill(os.getpid(), signal.SIGKILL)
";
    let first = "@forkprint.step\ndef first():\n    dirty(0, 1000)\n    print(START)\n";
    let seen = traced::run(&bench, &workload(&[BUFFER, first], middle), "sigtrap");
    assert_eq!(seen.fates, [json!({"kind": "killed", "signal": "SIGKILL", "step": "only"})]);
    let start = seen.said[0].parse().unwrap();
    let recording = traced::recording(&bench);
    assert_eq!(traced::seen_in(&recording, start, 1000).len(), 1000);
    assert!(!recording.about.complete);
}
