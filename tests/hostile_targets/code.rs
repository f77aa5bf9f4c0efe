//! Code that is gone, was stripped of its names, or lies about its lines.

use crate::bench::Bench;
use crate::target::{measure, measure_well, source};
use crate::{causes, libpython, skip, witness};
use forkprint::family::Cause;
use forkprint::family::breaks::{Flags, NONE};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Compiles a library that writes to pages, or skips.
fn compiled(bench: &Bench) -> Option<PathBuf> {
    let (library, source) = (bench.path("writes.so"), bench.path("writes.c"));
    std::fs::write(&source, "void dirty(char *at, long pages) { while (pages--) at[pages * 4096] = 9; }\n")
        .unwrap();
    let compiler =
        Command::new("cc").args(["-O1", "-shared", "-fPIC", "-o"]).args([&library, &source]).status();
    if compiler.is_ok_and(|status| status.success()) {
        return Some(library);
    }
    skip::skip("there is no C compiler");
    None
}

/// The instructions that wrote are nowhere any more when we come to read them.
#[test]
fn a_library_that_is_unloaded_after_it_wrote() {
    if !witness::can_be_had() {
        return;
    }
    for witness in ["sigtrap", "ring"] {
        let bench = Bench::new();
        let Some(library) = compiled(&bench) else { return };
        let body = format!(
            "import _ctypes
library = ctypes.CDLL('{}')
library.dirty(ctypes.c_void_p(START), ctypes.c_long(500))
_ctypes.dlclose(library._handle)
print('mapped', 'writes.so' in open('/proc/self/maps').read())",
            library.display()
        );
        let found = measure(&bench, &source("", &body), &["--witness", witness]);
        assert!(found.outcome.status.success(), "{}", found.outcome.stderr);
        found.says("mapped False");
        assert_eq!(found.lost(), 0);
        for row in found.all_seen(0, 500) {
            // Nothing is known of the writer, and nothing is made up.
            let writer = found.recording.breaks.writers.get(row.writer as usize);
            assert!(writer.is_none_or(|writer| writer.symbol.is_empty()), "{writer:?}");
            assert!(!matches!(row.cause, Cause::Refcount | Cause::GcHeader | Cause::LazyCache), "{row:?}");
        }
    }
}

/// Has the program use a changed copy of its interpreter's library.
fn with_library(change: impl Fn(&Path) -> bool) -> Option<Bench> {
    let bench = Bench::new();
    let library = libpython::of_the_program();
    let copy = bench.path(library.file_name().unwrap().to_str().unwrap());
    std::fs::copy(library, &copy).unwrap();
    if !change(&copy) {
        skip::skip("there is no strip");
        return None;
    }
    let folder = bench.path("");
    Some(bench.adjusted(move |command| {
        command.env("LD_LIBRARY_PATH", &folder);
    }))
}

fn strip(library: &Path) -> bool {
    Command::new("strip").arg("--strip-all").arg(library).status().is_ok_and(|status| status.success())
}

/// Takes the section headers away too: `e_shoff`, and `e_shentsize` to `e_shstrndx` of `elf.h`.
fn strip_sections(library: &Path) -> bool {
    let mut bytes = std::fs::read(library).unwrap();
    bytes[0x28..0x30].fill(0);
    bytes[0x3a..0x40].fill(0);
    std::fs::write(library, bytes).unwrap();
    true
}

#[test]
fn an_interpreter_without_symbols() {
    for program in ["refcount_str", "object_body", "lazy_cache", "interpreter"] {
        let Some(bench) = with_library(strip) else { return };
        causes::are_found(&bench, program);
    }
}

/// Causes, types and lines come from layouts; only what has a name by its section has none.
#[test]
fn an_interpreter_without_sections() {
    for program in ["refcount_str", "object_body"] {
        let Some(bench) = with_library(strip_sections) else { return };
        causes::are_found(&bench, program);
    }
}

#[test]
fn line_tables_that_lie() {
    if !witness::can_be_had() {
        return;
    }
    let module = "
NAME = 'co_linetable' if sys.version_info >= (3, 10) else 'co_lnotab'
TABLES = [b'', b'\\xff' * 100, b'\\x80' * 3, bytes(range(256)) * 400]
def broken(table):
    scope = {'BUFFER': BUFFER, 'PAGE': PAGE}
    exec('def writes(first, end):\\n for page in range(first, end):\\n  BUFFER[page * PAGE] = 50\\n', scope)
    writes = scope['writes']
    writes.__code__ = writes.__code__.replace(**{NAME: table, 'co_firstlineno': 2**31 - 1, 'co_name': 'liar'})
    return writes
WORK = [broken(table) for table in TABLES]
";
    let body = "
for number, writes in enumerate(WORK):
    writes(number * 100, number * 100 + 100)
";
    let found = measure_well(&source(module, body), &[]);
    let breaks = &found.recording.breaks;
    let seen = found.all_seen(0, 400);
    assert_eq!(found.lost(), 0);
    // The caller's line is still right, whatever the function says of its own.
    for row in &seen {
        let callers: Vec<u32> = breaks.stack(row.frame).skip(1).map(|frame| frame.line).collect();
        assert_eq!(callers.len(), 1, "{callers:?}");
    }
}

#[test]
fn a_deep_recursion_is_cut_and_says_so() {
    if !witness::can_be_had() {
        return;
    }
    let body = "
sys.setrecursionlimit(6000)
def down(left):
    if left:
        return down(left - 1)
    dirty(0, 500)
down(5000)
dirty(500, 1000)
";
    let found = measure_well(&source("", body), &[]);
    let breaks = &found.recording.breaks;
    for row in found.all_seen(0, 500) {
        assert!(row.flags.has(Flags::CUT));
        assert_eq!(breaks.stack(row.frame).count(), 64);
    }
    for row in found.all_seen(500, 1000) {
        assert!(row.frame != NONE && !row.flags.has(Flags::CUT));
        assert_eq!(breaks.stack(row.frame).count(), 2);
    }
}

/// `/usr/bin/python3` of Debian holds all of `CPython` in itself; a copy of it has no symbols either.
#[test]
fn an_interpreter_that_is_linked_statically() {
    const PYTHON: &str = "/usr/bin/python3";
    let libraries = Command::new("ldd").arg(PYTHON).output();
    let whole = libraries
        .is_ok_and(|told| told.status.success() && !told.stdout.windows(9).any(|w| w == b"libpython"));
    if !whole || !witness::can_be_had() {
        return skip::skip("there is no statically linked CPython");
    }
    let bench = Bench::new();
    let program = "import os
DATA = [str(number) for number in range(200_000)]
def serve():
    for _ in DATA: pass
children = []
for _ in range(2):
    children.append(os.fork())
    if not children[-1]:
        serve()
        os._exit(0)
for child in children: os.waitpid(child, 0)
";
    std::fs::write(bench.path("forks.py"), program).unwrap();
    let stripped = bench.path("python3");
    std::fs::copy(PYTHON, &stripped).unwrap();
    assert!(strip(&stripped));
    for python in [PYTHON, stripped.to_str().unwrap()] {
        let capture =
            ["record", "--capture", "out.forkprint", "--force", "-o", "out.txt", "--", python, "forks.py"];
        let outcome = bench.forkprint(&capture);
        assert!(outcome.status.success(), "{outcome:?}");
        let recording = forkprint::capture::read(&bench.path("out.forkprint")).unwrap();
        let breaks = &recording.breaks;
        let known = breaks.rows.iter().filter(|row| {
            row.cause == Cause::Refcount
                && breaks.types.get(row.ty as usize).is_some_and(|name| name == "str")
                && breaks.stack(row.frame).next().is_some_and(|frame| frame.line == 4)
                && breaks.owner_path(row.owner).ends_with("DATA[*]")
        });
        assert!(known.count() * 100 > breaks.rows.len() * 90, "{:?}", recording.reconciliation);
    }
}
