//! What compiled code costs: pages with places that change, with new code, with counts.
//!
//! How large the code is and when it is made is known from a run of the compiler in one process
//! ([`CodeProfile`]); which places of it a worker changes, from the profile of the program.

use super::pages::{PageSet, Written};
use crate::runtimes::toy::{CodeProfile, Emitted, Heat, JitMode, Profile, StepProfile};
use crate::units::PAGE_SIZE;
use std::collections::{BTreeMap, BTreeSet};

/// Code begins at multiples of this.
const ALIGNMENT: u64 = 16;
/// Bytes of one word of the table beside the code.
const WORD: u64 = 8;
/// Words of the table for an inline cache that stands there: four guards, four operands, the counter.
const CACHE_WORDS: u64 = 9;

const HOT: &str = "hot code";
const COLD: &str = "cold code";
const TABLE: &str = "inline-cache data";

/// Pages of the code and of the table beside it, after each step.
pub(super) fn predict(profile: &Profile, made: &CodeProfile, jit: JitMode) -> Vec<Vec<(&'static str, u64)>> {
    if matches!(jit, JitMode::Off | JitMode::Warm) {
        return vec![Vec::new(); profile.steps.len()];
    }
    let mut code = Code::before_the_fork(profile, made, jit);
    let before = std::iter::once(&profile.heat).chain(profile.steps.iter().map(|step| &step.heat));
    let mut known = made.older;
    let mut predicted = Vec::new();
    for (index, (step, before)) in profile.steps.iter().zip(before).enumerate() {
        let until = made.after.get(index).copied().unwrap_or(known);
        if !step.in_zygote {
            code.run(step, before, &made.emitted[known..until]);
        }
        known = until;
        predicted.push(code.written.counts().filter(|(_, pages)| *pages > 0).collect());
    }
    predicted
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
    compiled: BTreeSet<usize>,
    /// Ends of hot code, cold code and table.
    ends: [u64; 3],
    places: BTreeMap<(u32, u32), Place>,
    /// Places that know what they have to.
    learned: BTreeSet<(u32, u32)>,
    written: Written,
}

impl<'a> Code<'a> {
    fn before_the_fork(profile: &'a Profile, made: &CodeProfile, jit: JitMode) -> Self {
        let heat_bytes = 2 * profile.functions.len() as u64 * WORD;
        let mut code = Self {
            profile,
            jit,
            compiled: BTreeSet::new(),
            ends: [0, 0, heat_bytes],
            places: BTreeMap::new(),
            learned: BTreeSet::new(),
            written: Written::default(),
        };
        code.begin_pages();
        made.emitted[..made.older].iter().for_each(|piece| code.emit(*piece));
        code.learned = profile.sites.iter().filter(|site| code.places.contains_key(site)).copied().collect();
        code.begin_pages();
        code.written.begin();
        code
    }

    /// New code begins on pages of its own.
    fn begin_pages(&mut self) {
        self.ends = self.ends.map(|end| end.next_multiple_of(PAGE_SIZE));
    }

    /// Adds a piece of code. Its instructions are taken to be of one size, and so is the cold code of its
    /// places.
    fn emit(&mut self, piece: Emitted) {
        let Some(found) = self.profile.functions.get(piece.function as usize) else { return };
        self.compiled.insert(piece.function as usize);
        let [hot, cold, table] = [
            self.ends[0].next_multiple_of(ALIGNMENT),
            self.ends[1].next_multiple_of(ALIGNMENT),
            self.ends[2],
        ];
        let mut table_end = table;
        let (instructions, places) = (u64::from(found.instructions.max(1)), found.places.len().max(1) as u64);
        for (index, &(pc, is_cache)) in (0..).zip(&found.places) {
            let place = Place {
                hot: hot + u64::from(pc) * piece.hot_bytes / instructions,
                cold: cold + index * piece.cold_bytes / places,
                word: table_end,
                is_cache,
            };
            self.places.insert((piece.function, pc), place);
            self.learned.remove(&(piece.function, pc));
            table_end += WORD * words_of(self.jit, is_cache);
        }
        self.ends = [hot + piece.hot_bytes, cold + piece.cold_bytes, table_end];
        for (region, start, end) in
            [(HOT, hot, self.ends[0]), (COLD, cold, self.ends[1]), (TABLE, table, table_end)]
        {
            self.written.write(region, start, end - start);
        }
    }

    fn run(&mut self, step: &StepProfile, before: &[Heat], made: &[Emitted]) {
        self.count(step, before);
        for piece in made {
            self.emit(*piece);
        }
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

    /// The first function takes 29,000 bytes of hot code and 500 of cold code, and is compiled before the
    /// fork; so many more pieces are made in the second step.
    fn made(more: &[Emitted]) -> CodeProfile {
        let first = Emitted { function: 0, hot_bytes: 29_000, cold_bytes: 500 };
        CodeProfile { emitted: [&[first], more].concat(), older: 1, after: vec![1, 1 + more.len()] }
    }

    fn after(jit: JitMode) -> Vec<Vec<(&'static str, u64)>> {
        predict(&profile(), &made(&[]), jit)
    }

    #[test]
    fn only_places_that_run_for_the_first_time_change() {
        // The places at 29, 14,500 and 28,971 are on pages 0, 3 and 7. Their counters are within the 500
        // bytes of cold code. One call of what is never hot is counted.
        assert_eq!(after(JitMode::Patch), [vec![], vec![(COLD, 1), (HOT, 3), (TABLE, 1)]]);
        // The counters have a page of their own behind those of the heat.
        assert_eq!(after(JitMode::SideCounters), [vec![], vec![(HOT, 3), (TABLE, 2)]]);
        assert_eq!(after(JitMode::Indirect), [vec![], vec![(TABLE, 2)]]);
        assert_eq!(after(JitMode::Warm), [vec![], vec![]]);
    }

    #[test]
    fn what_gets_hot_in_a_worker_is_new_code_on_new_pages() {
        let more = [Emitted { function: 1, hot_bytes: 5000, cold_bytes: 0 }];
        let predicted = predict(&profile(), &made(&more), JitMode::Patch);
        assert_eq!(predicted[1], [(COLD, 1), (HOT, 5), (TABLE, 1)]);
    }

    #[test]
    fn what_the_zygote_runs_changes_nothing_in_a_worker() {
        let mut profile = profile();
        profile.steps[1].in_zygote = true;
        assert_eq!(predict(&profile, &made(&[]), JitMode::Patch), [vec![], vec![]]);
    }
}
