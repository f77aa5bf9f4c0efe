//! Input that cannot work: exit code 2, one error in words for people, and nothing left behind.

#[path = "common/bench.rs"]
mod bench;
#[path = "common/orphans.rs"]
mod orphans;
#[path = "common/skip.rs"]
mod skip;

use bench::{Bench, Outcome};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::stat::Mode;
use nix::unistd::Pid;
use serde_json::Value;
use std::fs::{self, OpenOptions};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

fn write(bench: &Bench, name: &str, text: &str) -> PathBuf {
    fs::write(bench.path(name), text).unwrap();
    bench.path(name)
}

/// A workload of one step.
fn step(body: &str) -> String {
    format!(
        "import forkprint, os, signal, time\ndata = [str(n) for n in range(1000)]\n@forkprint.step\ndef only():\n    {body}\n"
    )
}

/// Exit code 2, one error block that says all of `parts`, and no sign of a crash of our own.
#[track_caller]
fn assert_refused(outcome: &Outcome, parts: &[&str]) {
    let stderr = &outcome.stderr;
    assert_eq!(outcome.status.code(), Some(2), "{stderr}");
    assert_eq!(stderr.lines().filter(|line| line.starts_with("error:")).count(), 1, "{stderr}");
    for part in parts {
        assert!(stderr.contains(part), "'{part}' is not in:\n{stderr}");
    }
    for foreign in ["panicked", "RUST_BACKTRACE", "importlib", "src/"] {
        assert!(!stderr.contains(foreign), "'{foreign}' is in:\n{stderr}");
    }
}

/// Runs a made-up workload that must be refused before anything is measured.
#[track_caller]
fn assert_load_refused(name: &str, source: &str, parts: &[&str]) {
    let bench = Bench::new();
    write(&bench, name, source);
    let outcome = bench.forkprint(&["run", name, "--format", "json", "-o", "-"]);
    assert_refused(&outcome, parts);
    assert_eq!(outcome.stdout, "");
    orphans::assert_none(&bench.path(""));
}

/// Runs a workload whose step fails. What was measured until then must be there.
#[track_caller]
fn assert_step_fails(body: &str, arguments: &[&str], parts: &[&str]) -> Value {
    let bench = Bench::new();
    let workload = write(&bench, "made_up.py", &step(body));
    let common = ["run", workload.to_str().unwrap(), "--format", "json", "-o", "-"];
    let outcome = bench.forkprint(&[&common[..], arguments].concat());
    assert_refused(&outcome, parts);
    let json = outcome.json();
    assert_eq!(json["about"]["complete"], false);
    assert_eq!(json["steps"][0]["name"], "fork");
    assert!(json["steps"][0]["workers"][0]["inherited"].as_u64().unwrap() > 100);
    orphans::assert_none(&bench.path(""));
    json
}

fn fates(json: &Value) -> Vec<&str> {
    json["workers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|worker| worker["fate"]["kind"].as_str().unwrap())
        .collect()
}

#[test]
fn a_missing_workload() {
    let bench = Bench::new();
    let outcome = bench.forkprint(&["run", "none.py"]);
    assert_refused(&outcome, &["none.py", "No such file", "fix:   check the path"]);
    let outcome = bench.forkprint(&["run", "none.toy"]);
    assert_refused(&outcome, &["none.toy", "No such file", "fix:   check the path"]);
}

#[test]
fn an_unknown_ending_and_a_folder() {
    assert_load_refused("made_up.rb", "puts 1\n", &["made_up.rb", ".py", ".toy"]);
    let bench = Bench::new();
    fs::create_dir(bench.path("folder.py")).unwrap();
    for folder in ["folder.py", "."] {
        assert_refused(&bench.forkprint(&["run", folder]), &[folder, "it is a folder", "fix:   name a .py"]);
    }
}

#[test]
fn syntax_errors() {
    let python = "import forkprint\ndef broken(:\n";
    assert_load_refused("made_up.py", python, &["made_up.py", "line 2", "SyntaxError"]);
    assert_load_refused("made_up.toy", "let x = ;\n", &["made_up.toy", "1:9"]);
}

#[test]
fn a_module_that_raises_is_quoted() {
    let source = "def build():\n    return {}['missing']\nbuild()\n";
    assert_load_refused(
        "made_up.py",
        source,
        &["line 3, in <module>", "line 2, in build", "KeyError: 'missing'"],
    );
}

#[test]
fn a_workload_without_steps() {
    assert_load_refused("made_up.py", "x = 1\n", &["no step", "@forkprint.step"]);
}

#[test]
fn a_module_that_ends_the_process() {
    assert_load_refused("made_up.py", "import os\nos._exit(3)\n", &["exit status 3"]);
    assert_load_refused("made_up.py", "import ctypes\nctypes.string_at(0)\n", &["SIGSEGV"]);
}

#[test]
fn no_workers() {
    let bench = Bench::new();
    write(&bench, "made_up.py", &step("pass"));
    assert_refused(&bench.forkprint(&["run", "made_up.py", "-w", "0"]), &["without workers"]);
}

#[test]
fn a_step_that_raises() {
    let json = assert_step_fails(
        "raise ValueError('no luck')",
        &[],
        &["step 'only'", "ValueError: no luck", "in only"],
    );
    assert_eq!(fates(&json), ["failed", "failed"]);
    assert_eq!(json["findings"][0]["code"], "FP900");
}

#[test]
fn a_step_that_crashes() {
    let json = assert_step_fails("import ctypes; ctypes.string_at(0)", &[], &["step 'only'", "SIGSEGV"]);
    assert_eq!(fates(&json), ["killed", "killed"]);
}

#[test]
fn a_step_that_hangs() {
    let json = assert_step_fails("time.sleep(600)", &["--timeout", "2"], &["step 'only'", "--timeout"]);
    assert_eq!(fates(&json), ["hung", "hung"]);
}

#[test]
fn a_step_that_leaves() {
    let json = assert_step_fails("os._exit(3)", &["-w", "1"], &["step 'only'", "exit status 3"]);
    assert_eq!(fates(&json), ["exited"]);
}

#[test]
fn a_worker_that_is_killed() {
    let json =
        assert_step_fails("os.kill(os.getpid(), signal.SIGKILL)", &["-w", "1"], &["step 'only'", "SIGKILL"]);
    assert_eq!(fates(&json), ["killed"]);
}

/// The step fails in one worker only; the other is measured to the end.
#[test]
fn one_worker_of_two_that_is_killed() {
    // Whoever makes the file dies; the other finds it made.
    let body = r#"exec("try:\n open(__file__ + '.mark', 'x')\nexcept FileExistsError: pass\nelse: os.kill(os.getpid(), signal.SIGKILL)")"#;
    let json = assert_step_fails(body, &[], &["SIGKILL"]);
    let mut kinds = fates(&json);
    kinds.sort_unstable();
    assert_eq!(kinds, ["finished", "killed"]);
    assert_eq!(json["steps"][1]["workers"].as_array().unwrap().len(), 1);
}

#[test]
fn a_zygote_that_is_killed() {
    let json = assert_step_fails(
        "os.kill(os.getppid(), signal.SIGKILL); time.sleep(600)",
        &[],
        &["the zygote ended in step 'only'", "SIGKILL"],
    );
    assert!(fates(&json).iter().all(|kind| *kind == "killed"), "{json:#}");
}

#[test]
fn an_output_that_exists_is_kept() {
    let bench = Bench::new();
    // Loading would fail, so the refusal comes first.
    write(&bench, "made_up.py", "raise AssertionError\n");
    let output = write(&bench, "report.html", "precious");
    assert_refused(
        &bench.forkprint(&["run", "made_up.py", "-o", "report.html"]),
        &["report.html", "--force"],
    );
    assert_eq!(fs::read_to_string(output).unwrap(), "precious");
    fs::create_dir(bench.path("folder")).unwrap();
    for force in [&[][..], &["--force"]] {
        let outcome = bench.forkprint(&[&["run", "made_up.py", "--capture", "folder"], force].concat());
        assert_refused(&outcome, &["folder", "not a capture"]);
    }
}

#[test]
fn outputs_that_cannot_be_written_are_refused_first() {
    let bench = Bench::new();
    write(&bench, "made_up.py", "raise AssertionError\n");
    write(&bench, "file", "");
    for output in ["/proc/forkprint.json", "file/report.json", "."] {
        assert_refused(
            &bench.forkprint(&["run", "made_up.py", "--format", "json", "-o", output]),
            &["cannot write"],
        );
    }
    assert_refused(&bench.forkprint(&["run", "made_up.py", "--capture", "/proc/x.forkprint"]), &["/proc"]);
}

/// A small file system, unmounted when dropped.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(folder: &'a Path) -> Result<Self, String> {
        fs::create_dir(folder).unwrap();
        let mut mount = Command::new("mount");
        let told = mount.args(["-t", "tmpfs", "-o", "size=16k", "tmpfs"]).arg(folder).output();
        let told = told.map_err(|error| error.to_string())?;
        if told.status.success() {
            Ok(Self(folder))
        } else {
            Err(String::from_utf8_lossy(&told.stderr).into())
        }
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        assert!(Command::new("umount").arg(self.0).status().unwrap().success());
    }
}

#[test]
fn a_full_disk() {
    let bench = Bench::new();
    let folder = bench.path("disk");
    let _disk = match SmallDisk::mount(&folder) {
        Ok(disk) => disk,
        Err(why) => return skip::skip(format!("cannot mount a small tmpfs: {why}")),
    };
    write(&bench, "made_up.py", &step("pass"));
    let outcome = bench.forkprint(&["run", "made_up.py", "--capture", "disk/full.forkprint"]);
    assert_refused(&outcome, &["full.forkprint", "No space left"]);
    let outcome = bench.forkprint(&["run", "made_up.py", "-o", "disk/full.html"]);
    assert_refused(&outcome, &["full.html", "No space left"]);
    let left: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.is_empty(), "half a document is none: {left:?}");
}

#[test]
fn a_damaged_capture() {
    let bench = Bench::new();
    write(&bench, "made_up.py", &step("pass"));
    let outcome = bench.forkprint(&["run", "made_up.py", "-o", "out.txt", "--capture", "good.forkprint"]);
    assert!(outcome.status.success(), "{}", outcome.stderr);
    let again = bench.forkprint(&["run", "made_up.py", "-o", "new.txt", "--capture", "good.forkprint"]);
    assert_refused(&again, &["good.forkprint", "--force"]);
    // The other tables are for other programs: forkprint has their content in the manifest.
    for name in ["manifest.json", "regions.parquet", "pages.parquet", "fresh.parquet"] {
        let table = bench.path("good.forkprint").join(name);
        let whole = fs::read(&table).unwrap();
        for damaged in [&whole[..whole.len() / 2], &whole[..0], &[b'?'; 100][..]] {
            fs::write(&table, damaged).unwrap();
            assert_refused(&bench.forkprint(&["report", "good.forkprint", "--format", "json"]), &[name]);
        }
        fs::remove_file(&table).unwrap();
        assert_refused(&bench.forkprint(&["report", "good.forkprint", "--format", "json"]), &[name]);
        fs::write(&table, whole).unwrap();
    }
    bench.forkprint(&["report", "good.forkprint", "--format", "json"]).success();
    assert_refused(&bench.forkprint(&["report", "none.forkprint"]), &["none.forkprint"]);
}

/// Starts a run that tells through a named pipe when it has come to `time.sleep`.
fn start_and_wait(bench: &Bench, source: &str) -> bench::Running {
    let fifo = bench.path("fifo");
    nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).unwrap();
    let reader = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&fifo).unwrap();
    let workload = write(bench, "made_up.py", source);
    let running = bench.start(&["run", workload.to_str().unwrap(), "--format", "json", "-o", "-"]);
    let ready = poll(&mut [PollFd::new(reader.as_fd(), PollFlags::POLLIN)], PollTimeout::from(60_000_u16));
    assert_eq!(ready, Ok(1), "the workload never came to its sleep");
    assert!(!orphans::processes(&bench.path("")).is_empty());
    running
}

const SLEEP: &str =
    "open(os.path.join(os.path.dirname(__file__), 'fifo'), 'w').write('here'); time.sleep(600)";

fn while_loading() -> String {
    format!("import os, time\n{SLEEP}\n")
}

#[test]
fn an_interrupt_while_loading() {
    let bench = Bench::new();
    let running = start_and_wait(&bench, &while_loading());
    killpg(Pid::from_raw(running.child.id().cast_signed()), Signal::SIGINT).unwrap();
    let outcome = running.wait();
    assert_refused(&outcome, &["interrupted"]);
    assert_eq!(outcome.stdout, "");
    orphans::assert_none(&bench.path(""));
}

#[test]
fn an_interrupt_in_a_step_keeps_what_was_measured() {
    let bench = Bench::new();
    let running = start_and_wait(&bench, &step(SLEEP));
    killpg(Pid::from_raw(running.child.id().cast_signed()), Signal::SIGINT).unwrap();
    let outcome = running.wait();
    assert_refused(&outcome, &["interrupted"]);
    let json = outcome.json();
    assert_eq!((&json["steps"][0]["name"], &json["about"]["complete"]), (&"fork".into(), &false.into()));
    orphans::assert_none(&bench.path(""));
}

#[test]
fn nobody_survives_forkprint() {
    for source in [while_loading(), step(SLEEP)] {
        let bench = Bench::new();
        let running = start_and_wait(&bench, &source);
        kill(Pid::from_raw(running.child.id().cast_signed()), Signal::SIGKILL).unwrap();
        assert_eq!(running.wait().status.signal(), Some(Signal::SIGKILL as i32));
        orphans::assert_none(&bench.path(""));
    }
}
