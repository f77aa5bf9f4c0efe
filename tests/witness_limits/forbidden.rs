//! A system-call filter forbids perf, as container runtimes do: the pages are the same, the causes are
//! missing, and the answer says what would allow them.
#![cfg(target_arch = "x86_64")]
#![expect(unsafe_code, reason = "the filter is installed between fork and exec")]

use crate::bench::Bench;
use libc::{sock_filter, sock_fprog};
use serde_json::Value;
use std::io;
use std::os::unix::process::CommandExt;

/// `AUDIT_ARCH_X86_64` of `linux/audit.h`.
const X86_64: u32 = 0xc000_003e;
/// `SECCOMP_RET_ALLOW` and `SECCOMP_RET_ERRNO` of `linux/seccomp.h`.
const ALLOW: u32 = 0x7fff_0000;
const ERRNO: u32 = 0x0005_0000;

/// A program whose own calls, and those of its children, of `perf_event_open` fail.
fn without_perf(errno: i32) -> Bench {
    Bench::new().adjusted(move |command| {
        // SAFETY: the closure makes two system calls and allocates nothing.
        unsafe { command.pre_exec(move || forbid_perf(errno)) };
    })
}

fn forbid_perf(errno: i32) -> io::Result<()> {
    // Loads of a word of `struct seccomp_data`, jumps if equal, and returns (`linux/bpf_common.h`).
    let load = |offset: u32| sock_filter { code: 0x20, jt: 0, jf: 0, k: offset };
    let equal = |value: u32, jf: u8| sock_filter { code: 0x15, jt: 0, jf, k: value };
    let answer = |value: u32| sock_filter { code: 0x06, jt: 0, jf: 0, k: value };
    let call = u32::try_from(libc::SYS_perf_event_open).unwrap_or_default();
    let mut filter = [
        load(4),
        equal(X86_64, 3),
        load(0),
        equal(call, 1),
        answer(ERRNO | errno.cast_unsigned()),
        answer(ALLOW),
    ];
    let program = sock_fprog { len: 6, filter: filter.as_mut_ptr() };
    // SAFETY: the program is as long as it says, and outlives the calls.
    let refused = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
            || libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) != 0
    };
    if refused { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Measures the program that dirties a known number of pages.
fn measure(bench: &Bench, name: &str) -> Value {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/workloads/truth/dirty_pages.py");
    std::fs::copy(source, bench.path(name)).unwrap();
    bench.forkprint(&["run", name, "-w", "1", "--rung", "scan", "--format", "json", "-o", "-"]).success()
}

/// By how much a count of the worker grew in a step, and how many anonymous pages it broke.
fn grew(json: &Value, step: usize) -> [u64; 4] {
    let at = |step: usize, count: &str| json["steps"][step]["workers"][0][count].as_u64().unwrap();
    let anonymous = |step: usize| json["steps"][step]["regions"]["anonymous"].as_u64().unwrap_or(0);
    let grew = |count: &str| at(step, count).abs_diff(at(step - 1, count));
    [anonymous(step) - anonymous(step - 1).min(anonymous(step)), grew("broken"), grew("ghost"), grew("gone")]
}

#[test]
fn pages_are_the_same_and_what_is_missing_is_told() {
    let permitted = measure(&Bench::new(), "dirty.py");
    for errno in [libc::EPERM, libc::ENOSYS, libc::EACCES] {
        let bench = without_perf(errno);
        let json = measure(&bench, "dirty.py");
        assert_eq!((&json["witness"], &json["rung"]), (&"none".into(), &"scan".into()));
        for step in 1..=4 {
            let (there, here) = (grew(&permitted, step), grew(&json, step));
            assert_eq!(there[0], here[0], "anonymous pages in step {step}");
            // The interpreter's own pages differ by a few from run to run, and more where it warms up.
            let alike = step == 1 || there.iter().zip(here).all(|(there, here)| there.abs_diff(here) <= 12);
            assert!(alike, "step {step}: {there:?} permitted, {here:?} forbidden");
        }
        assert_eq!([grew(&json, 2)[0], grew(&json, 3)[0]], [300, 200]);
        let notes = json["about"]["notes"].to_string();
        for part in ["witness 'none' instead of 'sigtrap'", "perf_event_open", "to raise it", "seccomp"] {
            // EACCES is not what seccomp profiles answer: paranoid kernels do.
            let part = if errno == libc::EACCES && part == "seccomp" { "CAP_PERFMON" } else { part };
            assert!(notes.contains(part), "'{part}' is not in {notes}");
        }
        let told = &json["reconciliation"];
        assert_eq!(
            told["broken"].as_u64(),
            told["floor"].as_u64().zip(told["unexplained"].as_u64()).map(|(a, b)| a + b)
        );
    }
}

#[test]
fn a_witness_that_is_asked_for_is_refused_with_a_remedy() {
    for witness in ["sigtrap", "ring"] {
        let bench = without_perf(libc::EPERM);
        std::fs::write(bench.path("made_up.py"), "import forkprint\n@forkprint.step\ndef only(): pass\n")
            .unwrap();
        let outcome = bench.forkprint(&["run", "made_up.py", "--witness", witness]);
        assert_eq!(outcome.status.code(), Some(2), "{outcome:?}");
        for part in [
            &*format!("witness '{witness}' does not work here"),
            "why:   perf_event_open: EPERM",
            "fix:   a seccomp profile",
        ] {
            assert!(outcome.stderr.contains(part), "'{part}' is not in {}", outcome.stderr);
        }
    }
}

/// Everything else of the program is as it would have been.
#[test]
fn reports_say_it_too() {
    let bench = without_perf(libc::EPERM);
    measure(&bench, "dirty.py");
    for (output, said) in
        [("report.html", "witness &#x27;none&#x27; instead"), ("report.txt", "witness 'none' instead")]
    {
        let outcome = bench.forkprint(&["run", "dirty.py", "-w", "1", "-o", output]);
        assert!(outcome.status.success(), "{outcome:?}");
        let text = std::fs::read_to_string(bench.path(output)).unwrap();
        assert!(text.contains(said), "{output}");
    }
}
