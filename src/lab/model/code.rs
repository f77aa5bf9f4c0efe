//! What compiled code costs: pages with places that change, with new code, with counts.

use super::pages::{PageSet, Written};
use crate::lab::policy::PolicySpec;
use crate::runtimes::toy::{GcPolicy, Heat, JitMode, Profile, StepProfile, ToyOptions};
use crate::units::PAGE_SIZE;
use std::collections::{BTreeMap, BTreeSet};

/// Bytes of hot code for one instruction, and of cold code for one place that changes, by and large. These
/// two pairs are the only numbers of the model that come from looking at the runtime's output: what
/// `ToyRuntime::code_stats` says of the built-in programs, divided by their instructions and places. Another
/// back end has others.
const BYTES: [u64; 2] = [29, 125];
/// The same where every write of a register counts references.
const COUNTING_BYTES: [u64; 2] = [100, 155];
/// Rounds of a function's loops that make it as hot as one call does.
const ROUNDS_PER_CALL: u64 = 100;
/// Bytes of one word of the table beside the code.
const WORD: u64 = 8;
/// Words of the table for an inline cache that stands there: four guards, four operands, the counter.
const CACHE_WORDS: u64 = 9;

const HOT: &str = "hot code";
const COLD: &str = "cold code";
const TABLE: &str = "inline-cache data";

/// Pages of the code and of the table beside it, after each step.
pub(super) fn predict(profile: &Profile, spec: PolicySpec) -> Vec<Vec<(&'static str, u64)>> {
    if matches!(spec.jit, JitMode::Off | JitMode::Warm) {
        return vec![Vec::new(); profile.steps.len()];
    }
    let mut code = Code::before_the_fork(profile, spec);
    let before = std::iter::once(&profile.heat).chain(profile.steps.iter().map(|step| &step.heat));
    profile
        .steps
        .iter()
        .zip(before)
        .map(|(step, before)| {
            // What the zygote learns after the fork, no worker that exists learns.
            if !step.in_zygote {
                code.run(step, before);
            }
            code.written.counts().filter(|(_, pages)| *pages > 0).collect()
        })
        .collect()
}

/// Where one place keeps what changes: bytes from the start of hot code, cold code and table.
#[derive(Clone, Copy)]
struct Place {
    hot: u64,
    cold: u64,
    word: u64,
    is_cache: bool,
}

/// Compiled code of one family, and what a worker writes to it.
struct Code<'a> {
    profile: &'a Profile,
    jit: JitMode,
    /// Bytes of hot code for one instruction, and of cold code for one place.
    bytes: [u64; 2],
    compiled: BTreeSet<usize>,
    /// Ends of hot code, cold code and table.
    ends: [u64; 3],
    places: BTreeMap<(u32, u32), Place>,
    /// Places that know what they have to.
    learned: BTreeSet<(u32, u32)>,
    written: Written,
}

impl<'a> Code<'a> {
    fn before_the_fork(profile: &'a Profile, spec: PolicySpec) -> Self {
        let counts = matches!(spec.gc, GcPolicy::Refcount | GcPolicy::RefcountSide);
        let heat_bytes = 2 * profile.functions.len() as u64 * WORD;
        let mut code = Self {
            profile,
            jit: spec.jit,
            bytes: if counts { COUNTING_BYTES } else { BYTES },
            compiled: BTreeSet::new(),
            ends: [0, 0, heat_bytes],
            places: BTreeMap::new(),
            learned: BTreeSet::new(),
            written: Written::default(),
        };
        code.begin_pages();
        code.compile(&profile.heat);
        code.learned = profile.sites.iter().filter(|site| code.places.contains_key(site)).copied().collect();
        code.begin_pages();
        code.written.by_worker(true);
        code
    }

    /// New code begins on pages of its own.
    fn begin_pages(&mut self) {
        self.ends = self.ends.map(|end| end.next_multiple_of(PAGE_SIZE));
    }

    /// Compiles what is hot by now, in the order of the source.
    fn compile(&mut self, heat: &[Heat]) {
        for (function, heat) in heat.iter().enumerate() {
            if is_hot(*heat) && self.compiled.insert(function) {
                self.emit(function);
            }
        }
    }

    fn emit(&mut self, function: usize) {
        let Some(found) = self.profile.functions.get(function) else { return };
        let [hot, cold, table] = self.ends;
        let [hot_bytes, cold_bytes] = self.bytes;
        let [mut cold_end, mut table_end] = [cold, table];
        for &(pc, is_cache) in &found.places {
            let number = u32::try_from(function).unwrap_or(u32::MAX);
            let place =
                Place { hot: hot + u64::from(pc) * hot_bytes, cold: cold_end, word: table_end, is_cache };
            self.places.insert((number, pc), place);
            cold_end += cold_bytes;
            table_end += WORD * words_of(self.jit, is_cache);
        }
        self.ends = [hot + u64::from(found.instructions) * hot_bytes, cold_end, table_end];
        for (region, start, end) in
            [(HOT, hot, self.ends[0]), (COLD, cold, cold_end), (TABLE, table, table_end)]
        {
            self.written.write(region, start, end - start);
        }
    }

    fn run(&mut self, step: &StepProfile, before: &[Heat]) {
        self.count(step, before);
        self.compile(&step.heat);
        for site in &step.sites {
            if let Some(place) = self.places.get(site).copied()
                && self.learned.insert(*site)
            {
                self.learn(place);
            }
        }
    }

    /// The first guard and operand in the hot code, or in the table; the counter of an inline cache in
    /// the cold code, or in the table.
    fn learn(&mut self, place: Place) {
        match self.jit {
            JitMode::Indirect => self.written.write(TABLE, place.word, 2 * WORD),
            _ => self.written.write(HOT, place.hot, 4),
        }
        match self.jit {
            _ if !place.is_cache => {}
            JitMode::Patch => self.written.write(COLD, place.cold, 4),
            JitMode::SideCounters => self.written.write(TABLE, place.word, WORD),
            _ => self.written.write(TABLE, place.word + (CACHE_WORDS - 1) * WORD, WORD),
        }
    }

    /// Counts of what is interpreted: calls, then rounds, a word for each function.
    fn count(&mut self, step: &StepProfile, before: &[Heat]) {
        let functions = before.len();
        let mut pages = PageSet::default();
        for (function, (was, is)) in before.iter().zip(&step.heat).enumerate() {
            if self.compiled.contains(&function) {
                continue;
            }
            if is.calls > was.calls {
                pages.insert(function as u64 * WORD, WORD);
            }
            if is.rounds > was.rounds {
                pages.insert((functions + function) as u64 * WORD, WORD);
            }
        }
        self.written.write_pages(TABLE, &pages);
    }
}

/// Words of the table for one place.
const fn words_of(jit: JitMode, is_cache: bool) -> u64 {
    match (jit, is_cache) {
        (JitMode::Indirect, true) => CACHE_WORDS,
        (JitMode::Indirect, false) | (JitMode::SideCounters, true) => 1,
        _ => 0,
    }
}

/// Whether a function is compiled by now: at a call that finds it hot, or in the middle of a hot loop.
fn is_hot(heat: Heat) -> bool {
    let hot_calls = u64::from(ToyOptions::default().hot_calls);
    let by_loops = heat.rounds / ROUNDS_PER_CALL;
    by_loops >= hot_calls || (heat.calls > 1 && heat.calls + by_loops >= hot_calls)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtimes::toy::FunctionProfile;

    /// Two functions: the first, of 1,000 instructions with four field accesses, is hot before the fork,
    /// the second never.
    fn profile() -> Profile {
        let heat = vec![Heat { calls: 100, rounds: 0 }, Heat { calls: 1, rounds: 50 }];
        let sites = |pcs: &[u32]| pcs.iter().map(|pc| (0, *pc)).collect::<BTreeSet<_>>();
        let step = |pcs: &[u32], calls| StepProfile {
            heat: vec![Heat { calls: 101, rounds: 0 }, Heat { calls, rounds: 50 }],
            sites: sites(pcs),
            ..StepProfile::default()
        };
        let places = [0, 1, 500, 999].map(|pc| (pc, true)).to_vec();
        Profile {
            functions: vec![
                FunctionProfile { instructions: 1000, places },
                FunctionProfile { instructions: 100, places: Vec::new() },
            ],
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
    fn only_places_that_run_for_the_first_time_change() {
        // 29,000 bytes of hot code; the places at 29, 14,500 and 28,971 are on pages 0, 3 and 7. Their
        // counters are within the first 500 bytes of cold code. One call of what is never hot is counted.
        assert_eq!(after(JitMode::Patch), [vec![], vec![(COLD, 1), (HOT, 3), (TABLE, 1)]]);
        // The counters have a page of their own behind those of the heat.
        assert_eq!(after(JitMode::SideCounters), [vec![], vec![(HOT, 3), (TABLE, 2)]]);
        assert_eq!(after(JitMode::Indirect), [vec![], vec![(TABLE, 2)]]);
        assert_eq!(after(JitMode::Warm), [vec![], vec![]]);
    }

    #[test]
    fn what_gets_hot_in_a_worker_is_new_code_on_new_pages() {
        let mut profile = profile();
        profile.steps[1].heat[1].calls = 100;
        let spec = PolicySpec::default();
        assert_eq!(predict(&profile, spec)[1], [(COLD, 1), (HOT, 4), (TABLE, 1)]);
    }
}
