//! Workers with children of their own, made in every way there is.

use crate::bench::Bench;
use crate::target::{measure, measure_well, source};
use crate::witness;
use std::process::Command;

#[test]
fn children_that_share_the_memory_of_a_worker_until_they_execute() {
    if !witness::can_be_had() {
        return;
    }
    let body = "
dirty(0, 500)
child = os.posix_spawn('/bin/sh', ['sh', '-c', 'exit 5'], os.environ)
print('spawned', os.waitpid(child, 0)[1])
print('trapped', subprocess.run(['/bin/sh', '-c', 'kill -TRAP $$'], close_fds=False).returncode)
print('system', os.system('exit 3'))
child = os.posix_spawn('/bin/true', ['true'], {}, setsigdef=[signal.SIGTRAP], setsigmask=[signal.SIGTRAP])
print('bare', os.waitpid(child, 0)[1])
dirty(500, 1000)
";
    let found = measure_well(&source("", body), &[]);
    for said in ["spawned 1280", "trapped -5", "system 768", "bare 0"] {
        found.says(said);
    }
    found.all_seen(0, 1000);
    assert_eq!(found.lost(), 0);
}

/// Nobody asks for the logs of children of workers: neither they nor their messages may pile up.
#[test]
fn a_worker_that_forks_without_end() {
    if !witness::can_be_had() {
        return;
    }
    let body = "
for _ in range(600):
    child = os.fork()
    if child == 0:
        dirty(1000, 1002)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
dirty(0, 500)
";
    let found = measure_well(&source("", body), &[]);
    found.all_seen(0, 500);
    assert_eq!(found.seen(1000, 1002).len(), 0, "the worker itself did not write there");
    assert_eq!(found.lost(), 0);
}

#[test]
fn a_program_without_an_environment() {
    if !witness::can_be_had() {
        return;
    }
    let body = "
os.environ.clear()
dirty(0, 500)
print('left:', subprocess.run(['/usr/bin/env'], env={}, capture_output=True).stdout)
";
    let found = measure_well(&source("os.environ.clear()", body), &[]);
    found.says("left: b''");
    found.all_seen(0, 500);
}

/// A library of the user's own is preloaded as it would have been, and no trace of ours is left.
#[test]
fn a_program_that_preloads_a_library_of_its_own() {
    if !witness::can_be_had() {
        return;
    }
    let bench = Bench::new();
    let library = bench.path("own.so");
    std::fs::write(bench.path("own.c"), "int answer(void) { return 42; }\n").unwrap();
    let compiler =
        Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(bench.path("own.c")).status();
    if !compiler.is_ok_and(|status| status.success()) {
        return crate::skip::skip("there is no C compiler");
    }
    let bench = bench.adjusted(move |command| {
        command.env("LD_PRELOAD", &library);
    });
    let body = "
print('answer', LIBC.answer(), os.environ['LD_PRELOAD'], [name for name in ('FORKPRINT_LD_PRELOAD', 'FORKPRINT_RECORD') if name in os.environ])
dirty(0, 500)
";
    let found = measure(&bench, &source("", body), &[]);
    assert!(found.outcome.status.success());
    found.says(&format!("answer 42 {} []", bench.path("own.so").display()));
    found.all_seen(0, 500);
}
