//! What changes in compiled code is where the policy says, aligned, and told to the machine.

use super::super::policy::{CodePolicy, Place};
use super::super::site::{Cache, ENTRIES, NEVER, Slot};
use super::*;
use crate::runtimes::toy::lang::{compiler, parser};
use crate::runtimes::toy::options::JitMode;
use std::collections::BTreeSet;

const SOURCE: &str = "fn f(r, g) { r.x = r.y + g(r.x); f(r, g); return [r, -r.x]; }";
const MODES: [JitMode; 4] = [JitMode::Patch, JitMode::SideCounters, JitMode::Indirect, JitMode::Warm];

fn assemble(mode: JitMode, hot: usize, cold: usize) -> (Layout, Assembled) {
    let program = compiler::compile(&parser::parse(SOURCE).unwrap()).unwrap();
    let policy = CodePolicy::of(mode).unwrap();
    let layout = Layout {
        policy,
        hot,
        cold,
        first_site: 7,
        first_exit: 0,
        first_slot: 512,
        table: 0x5000,
        leaves_at_random: false,
    };
    let plan = Plan::plain(&program, &program.functions[1]);
    (layout, compile(&program, 1, plan, Barrier::None, layout).unwrap())
}

/// Slots of a place: those of its targets, guards and offsets, and those of its counter.
fn slots_of(site: &Site) -> (Vec<Slot>, Option<Slot>) {
    match &site.cache {
        Cache::Target(slot) => (vec![*slot], None),
        Cache::Entries { entries, counter } => {
            assert_eq!(entries.len(), ENTRIES);
            (entries.iter().flat_map(|entry| [entry.guard, entry.operand]).collect(), Some(*counter))
        }
    }
}

#[test]
fn every_slot_is_where_the_policy_puts_it_and_aligned() {
    for mode in MODES {
        for (hot, cold) in [(0x1000, 0x9000), (0x1010, 0x0800_9030), (0x7fff_0000_0020, 0x7ffe_ff00_0040)] {
            let (layout, assembled) = assemble(mode, hot, cold);
            let code = [hot..hot + assembled.hot.len(), cold..cold + assembled.cold.len()];
            let words = 512..512 + assembled.words.len();
            let check = |slot: Slot, place: Place| match slot {
                Slot::Code(address) => {
                    assert_eq!(place, Place::Code);
                    assert!(address % 4 == 0 && code.iter().any(|part| part.contains(&address)));
                }
                Slot::Table(index) => {
                    assert_eq!(place, Place::Table);
                    assert!(words.contains(&index), "{index}");
                }
            };
            assert_eq!(assembled.sites.len(), 6);
            let mut seen = BTreeSet::new();
            for site in &assembled.sites {
                let (caches, counter) = slots_of(site);
                for slot in &caches {
                    check(*slot, layout.policy.caches);
                }
                if let Some(slot) = &counter {
                    check(*slot, layout.policy.counters);
                }
                for slot in caches.into_iter().chain(counter) {
                    assert!(seen.insert(format!("{slot:?}")), "{slot:?} belongs to two");
                }
            }
        }
    }
}

#[test]
fn the_first_entry_is_hot_and_the_others_and_the_counter_are_cold() {
    let (hot, cold) = (0x1000, 0x10_0000);
    let (_, assembled) = assemble(JitMode::Patch, hot, cold);
    let is_hot = |slot: Slot| matches!(slot, Slot::Code(address) if address < cold);
    for site in &assembled.sites {
        match &site.cache {
            Cache::Target(slot) => assert!(is_hot(*slot)),
            Cache::Entries { entries, counter } => {
                let hot: Vec<bool> = entries.iter().map(|entry| is_hot(entry.operand)).collect();
                assert_eq!(hot, [true, false, false, false]);
                assert!(!is_hot(*counter));
            }
        }
    }
}

#[test]
fn new_code_holds_guards_that_never_match_and_targets_that_ask() {
    let (hot, cold) = (0x1000_usize, 0x10_0000_usize);
    let (_, patched) = assemble(JitMode::Patch, hot, cold);
    let read = |slot: Slot| {
        let Slot::Code(address) = slot else { panic!("{slot:?}") };
        let (part, offset) =
            if address < cold { (&patched.hot, address - hot) } else { (&patched.cold, address - cold) };
        (address, u32::from_le_bytes(part[offset..offset + 4].try_into().unwrap()))
    };
    let (_, indirect) = assemble(JitMode::Indirect, hot, cold);
    for (site, beside) in patched.sites.iter().zip(&indirect.sites) {
        match (&site.cache, &beside.cache) {
            (Cache::Target(slot), Cache::Target(Slot::Table(word))) => {
                let (address, distance) = read(*slot);
                let target = address + 4 + distance as usize;
                assert!((cold..cold + patched.cold.len()).contains(&target), "{target:x}");
                let target = usize::try_from(indirect.words[word - 512]).unwrap();
                assert!((cold..cold + indirect.cold.len()).contains(&target), "{target:x}");
            }
            (Cache::Entries { entries, counter }, Cache::Entries { entries: others, .. }) => {
                assert!(entries.iter().all(|entry| read(entry.guard).1 == NEVER));
                assert_eq!(read(*counter).1, 0);
                for entry in others {
                    let Slot::Table(guard) = entry.guard else { panic!("{entry:?}") };
                    assert_eq!(indirect.words[guard - 512], u64::from(NEVER));
                }
            }
            other => panic!("{other:?}"),
        }
    }
}
