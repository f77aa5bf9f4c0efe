//! `forkprint doctor`: what this kernel, user and container allow.

use crate::error::EXIT_OK;
use crate::family::{Rung, Witness};
use crate::kernel::Caps;
use crate::kernel::caps::{Probe, kernel_release, machine};
use crate::kernel::perf::probe::Outcome;
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

fn probes(caps: &Caps) -> [(&'static str, Probe); 10] {
    let seen = |outcome: &Outcome| outcome.clone().map_err(|refusal| refusal.to_string());
    [
        ("page map", caps.pagemap.clone()),
        ("frame numbers", caps.frames.clone()),
        ("exclusive bit", caps.exclusive.clone()),
        ("PAGEMAP_SCAN", caps.pagemap_scan.clone()),
        ("write tracking", caps.write_tracking.clone()),
        ("remote memory", caps.remote_memory.clone()),
        ("smaps_rollup", caps.smaps_rollup.clone()),
        ("kpageflags", caps.kpageflags.clone()),
        ("fault signals", seen(caps.sigtrap())),
        ("fault rings", seen(caps.ring())),
    ]
}

/// One kind of evidence that one may ask for.
struct Evidence {
    name: &'static str,
    explanation: &'static str,
    works: bool,
    /// The least thing that would make it work.
    raise: Option<String>,
}

fn rungs(caps: &Caps) -> [Evidence; 4] {
    Rung::ALL.map(|rung| Evidence {
        name: rung.name(),
        explanation: rung.explanation(),
        works: caps.supports(rung).is_ok(),
        raise: caps.raise(rung).map(str::to_owned),
    })
}

fn witnesses(caps: &Caps) -> [Evidence; 3] {
    Witness::ALL.map(|witness| Evidence {
        name: witness.name(),
        explanation: witness.explanation(),
        works: caps.supports_witness(witness).is_ok(),
        raise: caps.raise_witness(witness),
    })
}

fn print_text(caps: &Caps) {
    let width = terminal_size::terminal_size().map_or(80, |(width, _)| usize::from(width.0).clamp(60, 120));
    let bold = Style::new().bold();
    anstream::println!(
        "{bold}forkprint {}{bold:#} on {}, {}",
        env!("CARGO_PKG_VERSION"),
        kernel_release(),
        machine()
    );
    anstream::println!("effective uid {}\n", nix::unistd::geteuid());
    for (name, probe) in probes(caps) {
        let works = yes_or_no(probe.is_ok());
        let told = probe.unwrap_or_else(|why| why.replace('\n', "; "));
        anstream::println!("  {works}  {name:<16} {}", wrap(&told, 24, 24, width));
    }
    let (rung, witness) = (caps.best_rung(true).name(), caps.best_witness(true).name());
    anstream::println!("\n{bold}Evidence, best first{bold:#}");
    print_evidence(&rungs(caps), rung, width);
    anstream::println!("\n{bold}Witnesses of single writes, best first{bold:#}");
    print_evidence(&witnesses(caps), witness, width);
    let choice = format!(
        "forkprint run will use rung '{rung}', analyze and record '{}'; all of them witness '{witness}', or '{}' where the agent cannot be preloaded.",
        caps.best_rung(false).name(),
        caps.best_witness(false).name()
    );
    anstream::println!("\n{}", wrap(&choice, 0, 0, width));
}

fn print_evidence(all: &[Evidence], best: &str, width: usize) {
    for Evidence { name, explanation, works, raise } in all {
        let mark = if *name == best { "->" } else { "  " };
        anstream::println!("{mark} {}  {name:<10} {}", yes_or_no(*works), wrap(explanation, 19, 19, width));
        if let Some(raise) = raise {
            anstream::println!("{:19}{}", "", wrap(&format!("to have it: {raise}"), 19, 19, width));
        }
    }
}

fn yes_or_no(works: bool) -> String {
    let colour = if works { AnsiColor::Green } else { AnsiColor::Red }.on_default();
    format!("{colour}{:<3}{colour:#}", if works { "yes" } else { "no" })
}

fn as_json(caps: &Caps) -> serde_json::Value {
    let probe = |probe: Probe| match probe {
        Ok(seen) => json!({ "works": true, "seen": seen }),
        Err(why) => json!({ "works": false, "why": why }),
    };
    let probes: serde_json::Map<String, serde_json::Value> =
        probes(caps).into_iter().map(|(name, result)| (name.to_owned(), probe(result))).collect();
    let evidence = |kind: &str, all: &[Evidence]| -> Vec<serde_json::Value> {
        all.iter().map(|one| json!({ kind: one.name, "works": one.works, "raise": one.raise })).collect()
    };
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "kernel": kernel_release(),
        "machine": machine(),
        "uid": nix::unistd::geteuid().as_raw(),
        "probes": probes,
        "rungs": evidence("rung", &rungs(caps)),
        "witnesses": evidence("witness", &witnesses(caps)),
        "best": { "run": caps.best_rung(true).name(), "server": caps.best_rung(false).name() },
        "best_witness": { "code_in_worker": caps.best_witness(true).name(), "elsewhere": caps.best_witness(false).name() },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_witness_that_will_be_used_is_one_that_works() {
        let told = as_json(Caps::get());
        let witnesses = told["witnesses"].as_array().unwrap();
        assert_eq!(witnesses.len(), Witness::ALL.len());
        for best in ["code_in_worker", "elsewhere"] {
            let best = &told["best_witness"][best];
            assert!(witnesses.iter().any(|one| one["witness"] == *best && one["works"] == true));
        }
        assert!(told["probes"]["fault signals"]["works"].is_boolean());
        assert!(told["probes"]["fault rings"]["works"].is_boolean());
    }
}
