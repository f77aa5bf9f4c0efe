//! Programs that have plans of their own for the signal, its mask, and its stack.

use crate::target::{measure_well, source};
use crate::witness;
use forkprint::family::breaks::Flags;

/// Every function that could take the handler away notes the wish instead.
#[test]
fn every_way_to_say_what_shall_happen() {
    if !witness::can_be_had() {
        return;
    }
    let body = "
DEFAULT, IGNORE, TRAP = 0, 1, signal.SIGTRAP
LIBC.sigset.restype = ctypes.c_void_p
first = 0
for name in ('signal', 'bsd_signal', 'ssignal', 'sysv_signal', '__sysv_signal', 'sigset'):
    setter = getattr(LIBC, name, None)
    if setter is None: continue
    for wish in (IGNORE, DEFAULT):
        setter(TRAP, ctypes.c_void_p(wish))
        dirty(first, first + 100)
        first += 100
    setter(TRAP, ctypes.c_void_p(IGNORE))
    os.kill(os.getpid(), TRAP)
    print(name, 'ignores')
LIBC.sigignore(TRAP)
os.kill(os.getpid(), TRAP)
LIBC.sigset(TRAP, ctypes.c_void_p(2))
print('blocked', signal.SIGTRAP in signal.pthread_sigmask(signal.SIG_BLOCK, []))
LIBC.sigset(TRAP, ctypes.c_void_p(IGNORE))
print('blocked', signal.SIGTRAP in signal.pthread_sigmask(signal.SIG_BLOCK, []))
dirty(1200, 1300)
CAUGHT = []
CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_int)(CAUGHT.append)
LIBC.sysv_signal(TRAP, CALLBACK)
os.kill(os.getpid(), TRAP)
print('caught', CAUGHT, signal.getsignal(TRAP))
dirty(1300, 1400)
";
    let found = measure_well(&source("", body), &[]);
    for said in ["sigset ignores", "blocked True", "blocked False", "caught [5]"] {
        found.says(said);
    }
    found.all_seen(1200, 1400);
    assert!(found.seen(0, 1200).len() >= 600, "of the functions that this C library has");
    assert_eq!(found.lost(), 0);
}

#[test]
fn ignored_and_with_a_descriptor_to_wake_up() {
    if !witness::can_be_had() {
        return;
    }
    let body = "
wake, woken = os.pipe()
os.set_blocking(wake, False)
os.set_blocking(woken, False)
signal.set_wakeup_fd(woken)
signal.signal(signal.SIGTRAP, signal.SIG_IGN)
dirty(0, 500)
signal.signal(signal.SIGTRAP, lambda *_: print('caught'))
dirty(500, 1000)
os.kill(os.getpid(), signal.SIGTRAP)
print('woken by', os.read(wake, 100))
";
    let ignored = "signal.signal(signal.SIGTRAP, signal.SIG_IGN)\n";
    for module in ["", ignored] {
        let found = measure_well(&source(module, body), &[]);
        found.says("caught");
        found.says(r"woken by b'\x05'");
        found.all_seen(0, 1000);
    }
}

/// `faulthandler` brings a stack of its own, and takes it away again.
#[test]
fn a_signal_stack_of_the_program() {
    if !witness::can_be_had() {
        return;
    }
    let body = "
dirty(0, 500)
faulthandler.enable()
dirty(500, 1000)
faulthandler.disable()
dirty(1000, 1500)
faulthandler.enable()
child = os.fork()
if child == 0:
    ctypes.string_at(8)
print('died of', os.waitpid(child, 0)[1] & 127)
";
    for module in ["", "faulthandler.enable()\n"] {
        let found = measure_well(&source(module, body), &[]);
        found.says("Fatal Python error: Segmentation fault");
        found.says("died of 11");
        found.all_seen(0, 1500);
        assert_eq!(found.lost(), 0);
    }
}

/// Nobody empties the rings while the signal is blocked: they run over, which is told to the last fault.
#[test]
fn a_ring_that_runs_over() {
    if !witness::can_be_had() {
        return;
    }
    let module = "
BIG = mmap.mmap(-1, 80_000 * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
BIG[:] = b'1' * len(BIG)
";
    let body = "
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTRAP})
for page in range(80_000):
    BIG[page * PAGE] = 50
signal.pthread_sigmask(signal.SIG_SETMASK, before)
dirty(0, 1000)
";
    let found = measure_well(&source(module, body), &[]);
    assert!(found.lost() > 10_000, "{:?}", found.recording.reconciliation);
    let rows = &found.recording.breaks.rows;
    assert!(rows.len() >= 81_000);
    let unseen = rows.iter().filter(|row| !row.flags.has(Flags::SEEN)).count() as u64;
    assert!(found.lost().abs_diff(unseen) <= 400, "{} lost, {unseen} not seen", found.lost());
    // Once it is emptied again, nothing more is lost: neither a page nor its line.
    let seen = found.all_seen(0, 1000);
    let lines = seen.iter().filter(|row| found.recording.breaks.stack(row.frame).next().is_some());
    assert!(lines.count() >= 990);
}
