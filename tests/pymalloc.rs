//! Arenas found from outside against what the interpreter itself reports.

use forkprint::cpython::{pymalloc, version};
use forkprint::kernel::remote::SharedMemory;
use forkprint::observe::{ProcRoot, read_process};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

const PROGRAM: &str = "
import sys
objects = [(number, str(number), [number]) for number in range(150_000)]
sys._debugmallocstats()
sys.stderr.flush()
print('ready', flush=True)
sys.stdin.read()
";

/// Bytes of all arenas, from a line such as `40 arenas * 1048576 bytes/arena = 41,943,040`.
fn reported_bytes(statistics: &str) -> u64 {
    let line = statistics.lines().find(|line| line.contains("bytes/arena")).unwrap();
    let digits: String = line.rsplit('=').next().unwrap().chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

#[test]
fn the_arenas_of_a_live_interpreter_are_found() {
    let mut statistics = tempfile::NamedTempFile::new().unwrap();
    let mut python = Command::new("python3")
        .args(["-c", PROGRAM])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(statistics.reopen().unwrap())
        .spawn()
        .unwrap();
    let mut ready = String::new();
    BufReader::new(python.stdout.take().unwrap()).read_line(&mut ready).unwrap();
    assert_eq!(ready, "ready\n");

    let process = read_process(&ProcRoot::system(), python.id()).unwrap();
    let memory = SharedMemory::open(python.id()).unwrap();
    let running = version::of_process(&process).unwrap();
    let found =
        pymalloc::arenas(&process, running, |address, bytes| memory.read_bytes(address, bytes).is_ok());
    drop(python.stdin.take());
    python.wait().unwrap();

    let mut text = String::new();
    std::io::Read::read_to_string(&mut statistics, &mut text).unwrap();
    let (reported, bytes) =
        (reported_bytes(&text), found.iter().map(|region| region.end - region.start).sum::<u64>());
    assert!(reported > 20 << 20, "{reported}");
    assert!(bytes <= reported && bytes > reported / 100 * 95, "found {bytes} of {reported} bytes");
    assert!(found.windows(2).all(|pair| pair[0].end < pair[1].start), "sorted, disjoint and merged");
}
