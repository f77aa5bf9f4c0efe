//! What a family of toy processes shares and what it does not, with a family that the test forks itself.

use forkprint::runtimes::toy::{ToyOptions, ToyRuntime};
use forkprint::runtimes::{ForkSide, Runtime};
use nix::sys::signal::{Signal, kill, raise};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::path::Path;

struct Worker {
    pid: Pid,
    orders: PipeWriter,
    answers: PipeReader,
}

impl Worker {
    fn fork(zygote: &mut ToyRuntime) -> Self {
        let (mut orders_read, orders) = pipe().unwrap();
        let (answers, mut answers_write) = pipe().unwrap();
        match zygote.fork().unwrap() {
            ForkSide::Zygote(pid) => Self { pid: Pid::from_raw(pid.cast_signed()), orders, answers },
            ForkSide::Worker => {
                drop(orders);
                let mut order = [0];
                while orders_read.read_exact(&mut order).is_ok() {
                    let outcome = zygote.run_step(usize::from(order[0]));
                    let message = outcome.err().map_or_else(|| "fine".to_owned(), |failure| failure.message);
                    answers_write.write_all(format!("{message:<200}").as_bytes()).unwrap();
                }
                raise(Signal::SIGKILL).unwrap();
                unreachable!("the worker is dead");
            }
        }
    }

    fn run(&mut self, step: u8) -> String {
        self.orders.write_all(&[step]).unwrap();
        let mut answer = [0; 200];
        self.answers.read_exact(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).trim_end().to_owned()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = kill(self.pid, Signal::SIGKILL);
        let _ = waitpid(self.pid, None);
    }
}

/// One test, so that the process has no other test's thread when it forks.
#[test]
fn boxes_are_shared_and_nothing_else_is() {
    the_workload_proves_both();
    what_one_process_puts_into_a_box_all_find_there();
    boxes_of_different_processes_are_different();
}

fn the_workload_proves_both() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("workloads/toy/isolation.toy");
    let mut zygote = ToyRuntime::load(&path, ToyOptions::default()).unwrap();
    let mut workers: Vec<Worker> = (0..3).map(|_| Worker::fork(&mut zygote)).collect();
    let in_zygote: Vec<bool> = (0..3).map(|step| zygote.runs_in_zygote(step)).collect();
    assert_eq!(in_zygote, [false, true, false]);
    workers.iter_mut().for_each(|worker| assert_eq!(worker.run(0), "fine"));
    assert_eq!(zygote.run_step(1), Ok(()));
    workers.iter_mut().for_each(|worker| assert_eq!(worker.run(2), "fine"));
}

fn what_one_process_puts_into_a_box_all_find_there() {
    let source = "let shared = box(nil); let plain = {value: nil};
        step put { shared.value = 7; plain.value = 7; }
        step look { assert false, str(shared) + str(plain.value); }";
    let mut zygote = ToyRuntime::load_source("t", source, ToyOptions::default()).unwrap();
    let (mut first, mut second) = (Worker::fork(&mut zygote), Worker::fork(&mut zygote));
    assert!(second.run(1).ends_with("box(nil)nil"));
    assert_eq!(first.run(0), "fine");
    assert!(first.run(1).ends_with("box(7)7"));
    assert!(second.run(1).ends_with("box(7)nil"));
    assert!(zygote.run_step(1).unwrap_err().message.ends_with("box(7)nil"));
}

fn boxes_of_different_processes_are_different() {
    let source = "let mine = nil;
        step make { mine = box(0); }
        step count { fetch_add(mine, 1); }
        step look { assert mine.value == 1, str(mine); }";
    let mut zygote = ToyRuntime::load_source("t", source, ToyOptions::default()).unwrap();
    let mut workers: Vec<Worker> = (0..3).map(|_| Worker::fork(&mut zygote)).collect();
    for step in 0..3 {
        workers.iter_mut().for_each(|worker| assert_eq!(worker.run(step), "fine"));
        assert_eq!(zygote.run_step(usize::from(step)), Ok(()));
    }
}
