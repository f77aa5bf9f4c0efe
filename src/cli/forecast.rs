//! `forkprint forecast`: memory for N workers over their age, from captures.

use super::Invocation;
use super::output::{self, DocumentArgs, Format};
use crate::capture;
use crate::error::{EXIT_OK, Error, Result};
use crate::family::recording::Recording;
use crate::forecast::{Forecast, Lives, Question, forecast};
use crate::observe::{ProcRoot, limit};
use crate::record::progress::Progress;
use crate::report::forecast::{html, text};
use crate::report::shell_word;
use crate::units::Bytes;
use clap::Args;
use std::ops::RangeInclusive;
use std::path::PathBuf;

/// No more workers are forecast.
const MOST_WORKERS: u32 = 100_000;
/// Families of a range that are worked out; a larger one is thinned.
const MOST_FAMILIES: u32 = 64;

const EXAMPLES: &str = "Examples:
  forkprint forecast shop.forkprint                      families of 1 to 16 workers
  forkprint forecast shop.forkprint -w 8..64 --age 5000  after 5,000 requests of each worker
  forkprint forecast shop.forkprint --limit 4GiB         how many workers fit in 4 GiB
  forkprint forecast shop.forkprint --limit cgroup       in what the control group allows (also: ram)
  forkprint forecast a.forkprint b.forkprint -o f.html   two captures of one program, charts to read

The captures come from `forkprint analyze … --capture` or `forkprint run … --capture`. A forecast needs
several looks at young workers: milestones = [1, 2, 5, 10, 20, 50, 100] in the load file.";

/// Forecast the memory of N workers over their age, from captures of a few
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ForecastArgs {
    /// Captures of one program
    #[arg(required = true, value_name = "CAPTURE", value_hint = clap::ValueHint::DirPath)]
    captures: Vec<PathBuf>,
    /// Numbers of workers: 8, or 8..64 (both ends included)
    #[arg(short, long, default_value = "1..16", value_name = "N..M", value_parser = workers)]
    workers: RangeInclusive<u32>,
    /// Age of the workers, in requests that each served (steps, for workloads) [default: the oldest observed]
    #[arg(long, value_name = "REQUESTS", value_parser = age)]
    age: Option<f64>,
    /// Memory that the family may use: a size like 4GiB, `cgroup` or `ram`
    #[arg(long, value_name = "SIZE")]
    limit: Option<String>,
    #[command(flatten)]
    document: DocumentArgs,
}

/// Runs the verb.
pub fn run(mut args: ForecastArgs, invocation: &Invocation) -> Result<i32> {
    args.document.quiet = invocation.quiet;
    args.document.check()?;
    let limit = args.limit.as_deref().map(limit_of).transpose()?;
    let progress = if invocation.quiet { Progress::silent() } else { Progress::terminal() };
    progress.now("reading captures");
    let recordings =
        args.captures.iter().map(|path| capture::read(path)).collect::<Result<Vec<Recording>>>()?;
    let lives = Lives::of(&recordings)?;
    let question = Question {
        workers: thinned(&args.workers),
        age: args.age,
        limit,
        command: invocation.command_line(),
    };
    progress.now("fitting rates of writes");
    let mut found = forecast(&lives, &question);
    if recordings.iter().any(|recording| !recording.about.complete) {
        found.notes.push("a capture ended early; what it holds was used".into());
    }
    progress.done();
    emit(&found, &args)?;
    Ok(EXIT_OK)
}

fn emit(forecast: &Forecast, args: &ForecastArgs) -> Result<()> {
    let next = format!("{} -o forecast.html", forecast.command);
    let document = match args.document.form()? {
        Format::Text => text::render(forecast, output::terminal_width(), args.document.is_coloured(), &next),
        // Numbers, strings and lists always have a JSON form.
        Format::Json => serde_json::to_string_pretty(forecast).unwrap_or_default() + "\n",
        Format::Html => html::render(forecast)?,
    };
    output::deliver(&document, &args.document, |path| match args.document.form() {
        Ok(Format::Html) => format!("xdg-open {}", shell_word(&path.to_string_lossy())),
        _ => next,
    })
}

/// The numbers of a range: all of it, or evenly spread over it with both ends.
fn thinned(range: &RangeInclusive<u32>) -> Vec<u32> {
    let (first, last) = (*range.start(), *range.end());
    let steps = (last - first).min(MOST_FAMILIES - 1);
    let at =
        |step: u32| u64::from(first) + u64::from(last - first) * u64::from(step) / u64::from(steps.max(1));
    (0..=steps).map(|step| u32::try_from(at(step)).unwrap_or(last)).collect()
}

fn workers(text: &str) -> Result<RangeInclusive<u32>, String> {
    let number = |text: &str| {
        let count: u32 =
            text.trim().parse().map_err(|_| format!("'{text}' is no number of workers; write 8 or 8..64"))?;
        if (1..=MOST_WORKERS).contains(&count) {
            Ok(count)
        } else {
            Err(format!("{count} workers are not between 1 and {MOST_WORKERS}"))
        }
    };
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last.trim_start_matches('='))?);
    if first > last {
        return Err(format!("the range begins at {first} and ends before, at {last}"));
    }
    Ok(first..=last)
}

fn age(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(age) if age.is_finite() && age > 0.0 => Ok(age),
        _ => Err(format!("'{text}' is no age; write a number above zero, like 1000")),
    }
}

/// The memory that a family may use, and where that is said.
fn limit_of(text: &str) -> Result<(Bytes, String)> {
    let root = ProcRoot::system();
    match text {
        "ram" => Ok((limit::of_machine(&root)?, "the memory of this machine".into())),
        "cgroup" => match limit::of_control_group(&root)? {
            Some(limit) => Ok((limit, "what the control group allows".into())),
            None => Err(Error::new("the control group of this process does not limit memory")
                .fix("--limit ram, or a size like --limit 4GiB")),
        },
        size => match size.parse::<Bytes>() {
            Ok(Bytes(0)) => Err(Error::new("no worker fits in no memory").fix("a size like --limit 4GiB")),
            Ok(limit) => Ok((limit, "the limit asked for".into())),
            Err(why) => Err(Error::new("cannot read the limit")
                .why(why)
                .fix("--limit 4GiB, --limit cgroup or --limit ram")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_a_number_or_a_range() {
        assert_eq!(workers("8"), Ok(8..=8));
        assert_eq!(workers("8..64"), Ok(8..=64));
        assert_eq!(workers("8..=64"), Ok(8..=64));
        for wrong in ["0", "", "8..", "..8", "9..8", "a", "1..1000000000"] {
            assert!(workers(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_large_range_is_thinned_and_keeps_its_ends() {
        assert_eq!(thinned(&(3..=3)), [3]);
        assert_eq!(thinned(&(1..=5)), [1, 2, 3, 4, 5]);
        let thin = thinned(&(1..=10_000));
        assert_eq!((thin.len(), thin[0], thin[63]), (64, 1, 10_000));
    }

    #[test]
    fn a_limit_is_a_size_or_what_the_system_says() {
        assert_eq!(limit_of("4GiB").unwrap().0, Bytes(4 << 30));
        assert_eq!(limit_of("ram").unwrap().1, "the memory of this machine");
        assert!(limit_of("plenty").is_err() && limit_of("0").is_err());
    }
}
