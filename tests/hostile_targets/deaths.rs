//! Workers that are not there any more when they are looked for.

use crate::bench::Bench;
use crate::target::{measure, source};
use crate::witness;
use forkprint::family::breaks::Flags;

#[test]
fn a_worker_that_executes_another_program() {
    if !witness::can_be_had() {
        return;
    }
    let module = "@forkprint.step\ndef first():\n    dirty(0, 500)\n";
    let body = "dirty(500, 1000)\nos.execvp('sh', ['sh', '-c', 'exit 6'])";
    let found = measure(&Bench::new(), &source(module, body), &[]);
    assert_eq!(found.outcome.status.code(), Some(2));
    assert_eq!(found.fate()["code"], 6);
    found.all_seen(0, 500);
}

/// The new program has none of our code: it says nothing, and is ended when its time is over.
#[test]
fn a_worker_that_executes_a_program_that_does_not_end() {
    let module = "@forkprint.step\ndef first():\n    dirty(0, 500)\n";
    let body = "os.execvp('sleep', ['sleep', '600'])";
    for witness in ["sigtrap", "ring", "none"] {
        if witness != "none" && !witness::can_be_had() {
            return;
        }
        let arguments = ["--witness", witness, "--timeout", "5"];
        let found = measure(&Bench::new(), &source(module, body), &arguments);
        assert_eq!(found.fate()["kind"], "hung");
        assert_eq!(found.recording.steps.len(), 3, "{witness}");
    }
}

/// Writes to pages without end, while another process kills at times that nobody chose: also between the
/// fault and the end of the handler, in which a worker is most of the time.
const UNDER_FIRE: &str = "
import random
PIDS, TELL = os.pipe()
KILLER = subprocess.Popen([sys.executable, '-c', '''
import os, random, signal, sys, time
for _ in range(int(sys.argv[1])):
    pid = int.from_bytes(os.read(0, 4), 'little')
    time.sleep(random.random() * 0.01)
    os.kill(pid, signal.SIGKILL)
''', '15'], stdin=PIDS)
";

#[test]
fn workers_that_are_killed_at_any_moment() {
    if !witness::can_be_had() {
        return;
    }
    let body = "
os.write(TELL, os.getpid().to_bytes(4, 'little'))
while True:
    dirty(0, 4000)
    BUFFER.madvise(mmap.MADV_DONTNEED)
";
    for _ in 0..2 {
        let bench = Bench::new();
        let found = measure(&bench, &source(UNDER_FIRE, body), &["-w", "15", "--timeout", "60"]);
        assert_eq!(found.outcome.status.code(), Some(2));
        let workers = found.json["workers"].as_array().unwrap();
        assert!(workers.iter().all(|worker| worker["fate"]["signal"] == "SIGKILL"), "{workers:#?}");
        // What they did before is explained, and events of the last step belong to nobody.
        assert_eq!(found.recording.steps.last().unwrap().name, "begin");
        let rows = &found.recording.breaks.rows;
        assert!(rows.iter().filter(|row| row.flags.has(Flags::SEEN)).count() > 100 * workers.len());
        let report = bench.forkprint(&["report", "out.forkprint", "-o", "again.html"]);
        assert!(report.status.success(), "{report:?}");
    }
}
