//! Programs with narrow limits: what the agent needs is not taken from them.

use crate::bench::Bench;
use crate::target::{Measured, measure, measure_well, source};
use crate::witness;
use forkprint::family::Witness;
use nix::sys::resource::{Resource, setrlimit};
use std::os::unix::process::CommandExt;

/// The zygote cannot be watched from inside, and is from outside.
fn watched_from_outside(module: &str, body: &str, why: &str) -> Option<Measured> {
    if !witness::can_be_had() {
        return None;
    }
    let found = measure_well(&source(module, body), &[]);
    assert_eq!(found.recording.about.witness, Witness::Ring);
    found.notes("witness 'ring' instead of 'sigtrap', because");
    found.notes(why);
    found.all_seen(0, 500);
    Some(found)
}

#[test]
fn a_limited_address_space_is_the_programs_own() {
    // As much as the program needs is left of it, and not as much as an area takes.
    let module = "
SIZE = int(open('/proc/self/statm').read().split()[0]) * PAGE
resource.setrlimit(resource.RLIMIT_AS, (SIZE + (1400 << 20),) * 2)
";
    let body = "dirty(0, 500)\nprint('allocated', len(mmap.mmap(-1, 1200 << 20)))";
    let Some(found) = watched_from_outside(module, body, "ulimit -v") else { return };
    found.says("allocated 1258291200");
    found.notes("objects have no owners");
}

#[test]
fn a_limit_of_file_sizes_kills_nobody() {
    let module = "
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20,) * 2)
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
";
    watched_from_outside(module, "dirty(0, 500)", "ulimit -f");
}

#[test]
fn a_program_without_a_descriptor_to_spare() {
    let module = "
while True:
    last = os.dup(0)
    if last >= 40: break
resource.setrlimit(resource.RLIMIT_NOFILE, (41, 41))
# Two, which whoever reads /proc needs; events of two processors and their area are one more.
os.closerange(39, 41)
";
    if std::thread::available_parallelism().is_ok_and(|processors| processors.get() > 1) {
        watched_from_outside(module, "dirty(0, 500)", "ulimit -n");
    }
}

#[test]
fn a_program_with_few_descriptors() {
    if !witness::can_be_had() {
        return;
    }
    let module = "resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))";
    let body =
        "dirty(0, 500)\nprint('numbers', sorted(int(number) for number in os.listdir('/proc/self/fd'))[:9])";
    let found = measure_well(&source(module, body), &[]);
    assert!(found.recording.about.witness <= Witness::Ring);
    found.all_seen(0, 500);
}

/// One worker may not do what the zygote and the others may.
#[test]
fn a_worker_that_is_refused_is_named() {
    if !witness::can_be_had() {
        return;
    }
    let module = "
WORKERS = []
def before():
    WORKERS.append(1)
    low = len(WORKERS) == 2
    resource.setrlimit(resource.RLIMIT_NOFILE, (5 if low else 4096, 4096))
os.register_at_fork(before=before)
";
    let found = measure_well(&source(module, "dirty(0, 500)"), &["-w", "2"]);
    assert_eq!(found.recording.about.witness, Witness::Sigtrap);
    found.all_seen(0, 500);
    let second = found.json["workers"][1]["pid"].to_string();
    found.notes(&format!("not watched: process {second}: "));
    found.notes("ulimit -n");
    assert!(found.recording.reconciliation.unexplained >= 500);
}

/// Limits of our own: words instead of a panic.
#[test]
fn forkprint_without_descriptors() {
    for most in [4, 8, 12, 16, 24] {
        let bench = Bench::new().adjusted(move |command| {
            let limit = move || setrlimit(Resource::RLIMIT_NOFILE, most, most).map_err(Into::into);
            #[expect(unsafe_code, reason = "the limit is set between fork and exec")]
            // SAFETY: the closure makes one system call.
            unsafe {
                command.pre_exec(limit)
            };
        });
        std::fs::write(bench.path("target.py"), source("", "dirty(0, 10)")).unwrap();
        let outcome = bench.forkprint(&["run", "target.py", "-w", "2"]);
        let code = outcome.status.code();
        assert!(
            code == Some(0) || code == Some(2) && outcome.stderr.contains("error:"),
            "{most}: {outcome:?}"
        );
        assert!(!outcome.stderr.contains("panicked"), "{most}: {outcome:?}");
    }
}

#[test]
fn two_hundred_threads() {
    if !witness::can_be_had() {
        return;
    }
    let body = "
ready = threading.Barrier(200)
def fill(part):
    ready.wait()
    ctypes.memset(START + part * 20 * PAGE, 50, 20 * PAGE)
threads = [threading.Thread(target=fill, args=(part,)) for part in range(200)]
for thread in threads: thread.start()
for thread in threads: thread.join()
";
    let found = measure(&Bench::new(), &source("threading.stack_size(64 << 10)", body), &[]);
    assert!(found.outcome.status.success());
    let seen = found.all_seen(0, 4000);
    let mut threads: Vec<u32> = seen.iter().map(|row| row.thread).collect();
    threads.sort_unstable();
    threads.dedup();
    assert_eq!(threads.len(), 200);
    assert_eq!(found.lost(), 0);
}
