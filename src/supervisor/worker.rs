//! A worker: runs the steps it is told to, and stands still in between.

use super::protocol::{Channel, FromWorker, LOST, ToWorker};
use crate::kernel::spawn::exit_now;
use crate::kernel::uffd::WriteTracker;
use crate::runtimes::Runtime;
use nix::errno::Errno;
use std::time::Instant;

/// Runs steps until told to end; then leaves without running the program's exit handlers.
pub fn serve(
    runtime: &mut dyn Runtime,
    mut channel: Channel,
    tracker: Option<&Result<WriteTracker, Errno>>,
) -> ! {
    let untracked = tracker.and_then(|armed| armed.as_ref().err()).map(Errno::to_string);
    let mut answer = FromWorker::Ready { untracked };
    while channel.send(&answer).is_ok() {
        answer = match channel.receive() {
            Ok(ToWorker::Run { step }) => run(runtime, step),
            Ok(ToWorker::Exit) | Err(_) => break,
        };
    }
    exit_now(if channel.is_open() { 0 } else { LOST })
}

fn run(runtime: &mut dyn Runtime, step: usize) -> FromWorker {
    let began = Instant::now();
    match runtime.run_step(step) {
        Ok(()) => {
            let nanoseconds = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
            FromWorker::Done { nanoseconds }
        }
        Err(failure) => FromWorker::Failed(failure),
    }
}
