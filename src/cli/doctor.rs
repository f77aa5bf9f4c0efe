//! `forkprint doctor`: what this kernel, user and container allow.

use crate::error::EXIT_OK;
use crate::family::Rung;
use crate::kernel::Caps;
use crate::kernel::caps::{Probe, kernel_release, machine};
use crate::report::wrap;
use anstyle::{AnsiColor, Style};
use clap::Args;
use serde_json::json;

const EXAMPLES: &str = "Examples:
  forkprint doctor
  forkprint doctor --format json";

/// Show what this kernel, user and container let us see, and the least thing that would show more
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DoctorArgs {
    /// How to print
    #[arg(long, value_parser = ["text", "json"], default_value = "text")]
    format: String,
}

/// Runs the verb.
pub fn run(args: &DoctorArgs) -> i32 {
    let caps = Caps::get();
    if args.format == "json" {
        anstream::println!("{:#}", as_json(caps));
    } else {
        print_text(caps);
    }
    EXIT_OK
}

fn probes(caps: &Caps) -> [(&'static str, &Probe); 8] {
    [
        ("page map", &caps.pagemap),
        ("frame numbers", &caps.frames),
        ("exclusive bit", &caps.exclusive),
        ("PAGEMAP_SCAN", &caps.pagemap_scan),
        ("write tracking", &caps.write_tracking),
        ("remote memory", &caps.remote_memory),
        ("smaps_rollup", &caps.smaps_rollup),
        ("kpageflags", &caps.kpageflags),
    ]
}

fn print_text(caps: &Caps) {
    let width = terminal_size::terminal_size().map_or(80, |(width, _)| usize::from(width.0).clamp(60, 120));
    let wrapped = |text: &str, column: usize| wrap(text, column, column, width);
    let (good, bad) = (AnsiColor::Green.on_default(), AnsiColor::Red.on_default());
    let bold = Style::new().bold();
    anstream::println!(
        "{bold}forkprint {}{bold:#} on {}, {}",
        env!("CARGO_PKG_VERSION"),
        kernel_release(),
        machine()
    );
    anstream::println!("effective uid {}\n", nix::unistd::geteuid());
    for (name, probe) in probes(caps) {
        match probe {
            Ok(seen) => anstream::println!("  {good}yes{good:#}  {name:<16} {}", wrapped(seen, 24)),
            Err(why) => {
                anstream::println!("  {bad}no {bad:#}  {name:<16} {}", wrapped(&why.replace('\n', "; "), 24))
            }
        }
    }
    anstream::println!("\n{bold}Evidence, best first{bold:#}");
    let best = caps.best_rung(true);
    for rung in Rung::ALL {
        let mark = if rung == best { "->" } else { "  " };
        let state = if caps.supports(rung).is_ok() {
            format!("{good}yes{good:#}")
        } else {
            format!("{bad}no {bad:#}")
        };
        anstream::println!("{mark} {state}  {:<10} {}", rung.name(), wrapped(rung.explanation(), 19));
        if let Some(raise) = caps.raise(rung) {
            anstream::println!("{:19}{}", "", wrapped(&format!("to have it: {raise}"), 19));
        }
    }
    let choice = format!(
        "forkprint run will use rung '{}'; for servers it will use '{}'.",
        best.name(),
        caps.best_rung(false).name()
    );
    anstream::println!("\n{}", wrapped(&choice, 0));
}

fn as_json(caps: &Caps) -> serde_json::Value {
    let probe = |probe: &Probe| match probe {
        Ok(seen) => json!({ "works": true, "seen": seen }),
        Err(why) => json!({ "works": false, "why": why }),
    };
    let probes: serde_json::Map<String, serde_json::Value> =
        probes(caps).into_iter().map(|(name, result)| (name.to_owned(), probe(result))).collect();
    let rungs: Vec<_> = Rung::ALL
        .into_iter()
        .map(|rung| json!({ "rung": rung.name(), "works": caps.supports(rung).is_ok(), "raise": caps.raise(rung) }))
        .collect();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "kernel": kernel_release(),
        "machine": machine(),
        "uid": nix::unistd::geteuid().as_raw(),
        "probes": probes,
        "rungs": rungs,
        "best": { "run": caps.best_rung(true).name(), "server": caps.best_rung(false).name() },
    })
}
