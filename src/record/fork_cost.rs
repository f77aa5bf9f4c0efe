//! The cost of a fork, measured in throw-away processes: a few for each size and kind of page, in turn.

use super::progress::Progress;
use crate::error::{Context, Error, Result};
use crate::interrupt;
use crate::kernel::caps::{kernel_release, machine};
use crate::kernel::fork_cost::{HUGE_PAGE, Samples, Spec, available_bytes};
use crate::kernel::spawn::ProcessGroup;
use crate::report::fork_cost::{ForkCost, Point};
use crate::units::Bytes;
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Seek};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The smallest process.
const SMALLEST: u64 = 4 << 20;
/// Times that all sizes are gone through: a busy spell of the machine then falls on all of them.
const PASSES: u32 = 3;
/// Part of the available memory that may be filled.
const PART: u64 = 4;
/// Where nothing else is asked for, no process is larger.
const LARGEST: u64 = 4 << 30;
const PATIENCE: Duration = Duration::from_secs(300);

/// What to measure.
#[derive(Debug, Clone)]
pub struct ForkCostOptions {
    /// The largest process; a quarter of the available memory, at most 4 GiB, otherwise.
    pub max_size: Option<Bytes>,
    /// Times that every call is made.
    pub rounds: u32,
    /// Program that the calls start.
    pub program: String,
    /// Re-executes this program.
    pub self_command: Vec<OsString>,
    /// The command line that repeats the measurement.
    pub command: String,
}

/// Measures every size.
pub fn run(options: &ForkCostOptions, progress: &Progress) -> Result<ForkCost> {
    std::fs::metadata(&options.program).at("cannot start the program", &options.program)?;
    let sizes = sizes(options.max_size)?;
    let passes = options.rounds.clamp(1, PASSES);
    let specs = [false, true].into_iter().flat_map(|huge| sizes.iter().map(move |&bytes| (bytes, huge)));
    let mut measured: Vec<(Spec, Samples)> = specs
        .map(|(bytes, huge)| Spec { bytes, huge, rounds: 0, program: options.program.clone() })
        .map(|spec| (spec, Samples::default()))
        .collect();
    for pass in 0..passes {
        for (spec, samples) in &mut measured {
            let pages = if spec.huge { "huge" } else { "4 KiB" };
            progress.now(format!(
                "pass {} of {passes}: forking {} of {pages} pages",
                pass + 1,
                Bytes(spec.bytes)
            ));
            spec.rounds = options.rounds * (pass + 1) / passes - options.rounds * pass / passes;
            samples.extend(throw_away(spec, &options.self_command)?);
        }
    }
    let points = measured.iter().map(|(spec, samples)| Point::of(spec, samples)).collect();
    let about = [options.command.clone(), machine(), kernel_release()];
    Ok(ForkCost::new(about, options.rounds, options.program.clone(), points))
}

/// Powers of two.
fn sizes(max: Option<Bytes>) -> Result<Vec<u64>> {
    let available = available_bytes().unwrap_or(u64::MAX);
    let most = max.map_or((available / PART).min(LARGEST), |bytes| bytes.0);
    let refuse = |why: String, fix: String| {
        Err(Error::new("cannot measure such a process").location(Bytes(most).to_string()).why(why).fix(fix))
    };
    if most < SMALLEST {
        return refuse(
            format!("the smallest has {}", Bytes(SMALLEST)),
            format!("--max-size {}MiB or more", SMALLEST >> 20),
        );
    }
    if most > available / 10 * 9 {
        return refuse(
            format!("{} of memory are available", Bytes(available)),
            format!("--max-size {}MiB or less", (available / PART) >> 20),
        );
    }
    let doubled = |bytes: &u64| bytes.checked_mul(2).filter(|&next| next <= most);
    Ok(std::iter::successors(Some(SMALLEST.max(HUGE_PAGE)), doubled).collect())
}

/// Runs one measurement in a process that ends with it.
fn throw_away(spec: &Spec, self_command: &[OsString]) -> Result<Samples> {
    const WHAT: &str = "cannot measure the cost of a fork";
    let (program, words) = self_command.split_first().ok_or_else(|| Error::new(WHAT))?;
    let mut answer = tempfile::tempfile().doing(WHAT)?;
    let mut command = Command::new(program);
    command
        .args(words)
        .arg("__fork_cost")
        .arg(serde_json::to_string(spec).doing(WHAT)?)
        .stdin(Stdio::null())
        .stdout(answer.try_clone().doing(WHAT)?);
    let mut process = ProcessGroup::spawn(command, Vec::new())?;
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = process.wait_until(Instant::now() + interrupt::POLL) {
            break status;
        }
        interrupt::check()?;
        if Instant::now() > deadline {
            return Err(Error::new(WHAT)
                .why("a process did not end in time")
                .fix("fewer --rounds, or a smaller --max-size"));
        }
    };
    let text = read_back(&mut answer).doing(WHAT)?;
    if !status.success() {
        return Err(Error::new(WHAT).why(format!(
            "the process that measures ended with {}",
            crate::kernel::spawn::describe_exit(status)
        )));
    }
    serde_json::from_str(&text).doing(WHAT)
}

fn read_back(file: &mut File) -> std::io::Result<String> {
    let mut text = String::new();
    file.rewind()?;
    file.read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_double_up_to_the_largest() {
        assert_eq!(sizes(Some(Bytes(17 << 20))).unwrap(), [4 << 20, 8 << 20, 16 << 20]);
        assert!(sizes(Some(Bytes(1))).is_err() && sizes(Some(Bytes(1 << 60))).is_err());
    }
}
