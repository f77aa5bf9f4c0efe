//! What compiled code and its counters cost: pages with patched places, with new code, with counts.

use super::pages::{PageSet, Written};
use crate::lab::policy::PolicySpec;
use crate::runtimes::toy::{Heat, JitMode, Profile, StepProfile, ToyOptions};
use crate::units::PAGE_SIZE;

/// Bytes of code for one instruction, by and large.
const BYTES_PER_INSTRUCTION: u64 = 44;
/// Rounds of a function's loops that make it as hot as one call does.
const ROUNDS_PER_CALL: u64 = 100;
/// Bytes of one counter.
const COUNTER: u64 = 8;

const CODE: &str = "code cache";
const DATA: &str = "inline-cache data";

/// Compiled code of one family, and what a worker writes to it.
struct Code<'a> {
    profile: &'a Profile,
    jit: JitMode,
    /// Where the code of each function begins, if it is compiled.
    starts: Vec<Option<u64>>,
    end: u64,
    patched: std::collections::BTreeSet<(u32, u32)>,
    written: Written,
}

/// Pages of the code cache and of the data beside it, after each step.
pub(super) fn predict(profile: &Profile, spec: PolicySpec) -> Vec<Vec<(&'static str, u64)>> {
    if matches!(spec.jit, JitMode::Off | JitMode::Warm) {
        return vec![Vec::new(); profile.steps.len()];
    }
    let mut code = Code {
        profile,
        jit: spec.jit,
        starts: vec![None; profile.functions.len()],
        end: 0,
        patched: std::collections::BTreeSet::new(),
        written: Written::default(),
    };
    code.compile(&profile.heat);
    let compiled = |site: &&(u32, u32)| code.starts[site.0 as usize].is_some();
    code.patched = profile.sites.iter().filter(compiled).copied().collect();
    code.end = code.end.next_multiple_of(PAGE_SIZE);
    code.written.begin();
    let mut before = &profile.heat;
    let mut predicted = Vec::new();
    for step in &profile.steps {
        code.run(step, before);
        before = &step.heat;
        predicted.push(code.written.counts().collect());
    }
    predicted
}

impl Code<'_> {
    /// Compiles what is hot by now, in the order of the source.
    fn compile(&mut self, heat: &[Heat]) {
        for (function, heat) in heat.iter().enumerate() {
            if self.starts[function].is_none() && is_hot(*heat) {
                let bytes = u64::from(self.profile.functions[function]) * BYTES_PER_INSTRUCTION;
                self.starts[function] = Some(self.end);
                self.written.write(CODE, self.end, bytes);
                self.end += bytes;
            }
        }
    }

    fn run(&mut self, step: &StepProfile, before: &[Heat]) {
        self.count(step, before);
        self.compile(&step.heat);
        for site in &step.sites {
            let Some(start) = self.starts[site.0 as usize] else { continue };
            if self.patched.insert(*site) {
                self.patch(start + u64::from(site.1) * BYTES_PER_INSTRUCTION, *site);
            }
        }
    }

    /// One operand in the code, or one word beside it, and the count of the patches of the place.
    fn patch(&mut self, address: u64, site: (u32, u32)) {
        if self.jit != JitMode::Indirect {
            self.written.write(CODE, address, 4);
        }
        let before = |other: &&(u32, u32)| **other < site;
        let index = self.profile.sites.iter().filter(before).count() as u64;
        let counters = 2 * self.profile.functions.len() as u64;
        self.written.write(DATA, (counters + index) * COUNTER, COUNTER);
    }

    /// Counts of what is interpreted: calls, then rounds, a word for each function.
    fn count(&mut self, step: &StepProfile, before: &[Heat]) {
        let functions = self.profile.functions.len();
        let mut pages = PageSet::default();
        for (function, (was, is)) in before.iter().zip(&step.heat).enumerate() {
            if self.starts[function].is_some() {
                continue;
            }
            if is.calls > was.calls {
                pages.insert(function as u64 * COUNTER, COUNTER);
            }
            if is.rounds > was.rounds {
                pages.insert((functions + function) as u64 * COUNTER, COUNTER);
            }
        }
        self.written.write_pages(DATA, &pages);
    }
}

/// Whether a function is compiled by now: at a call that finds it hot.
fn is_hot(heat: Heat) -> bool {
    let hot_calls = u64::from(ToyOptions::default().hot_calls);
    heat.calls > 1 && heat.calls + heat.rounds / ROUNDS_PER_CALL >= hot_calls
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Two functions of 100 instructions: the first is hot before the fork, the second never.
    fn profile() -> Profile {
        let heat = vec![Heat { calls: 100, rounds: 0 }, Heat { calls: 1, rounds: 50 }];
        let sites = |pcs: &[u32]| pcs.iter().map(|pc| (0, *pc)).collect::<BTreeSet<_>>();
        let step = |pcs: &[u32], calls| StepProfile {
            heat: vec![Heat { calls: 101, rounds: 0 }, Heat { calls, rounds: 50 }],
            sites: sites(pcs),
            ..StepProfile::default()
        };
        Profile {
            functions: vec![1000, 100],
            heat,
            sites: sites(&[0]),
            steps: vec![step(&[0], 1), step(&[0, 1, 500, 999], 2)],
            ..Profile::default()
        }
    }

    fn after(jit: JitMode) -> Vec<Vec<(&'static str, u64)>> {
        predict(&profile(), PolicySpec { jit, ..PolicySpec::default() })
    }

    #[test]
    fn only_places_that_run_for_the_first_time_are_patched() {
        // 44,000 bytes of code; the places at 44, 22,000 and 43,956 are on pages 0, 5 and 10.
        assert_eq!(after(JitMode::Patch), [vec![(DATA, 0)], vec![(CODE, 3), (DATA, 1)]]);
        assert_eq!(after(JitMode::Indirect), [vec![(DATA, 0)], vec![(DATA, 1)]]);
        assert_eq!(after(JitMode::Off), [vec![], vec![]]);
    }
}
