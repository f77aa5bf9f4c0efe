//! The persistent structures of the toy library against the standard library's map and vector.

#[path = "common/captured.rs"]
mod captured;

use captured::Captured;
use forkprint::runtimes::toy::{JitMode, ToyOptions, ToyRuntime};
use std::collections::BTreeMap;
use std::fmt::Write as _;

fn run(source: &str, options: ToyOptions) -> String {
    let captured = Captured::default();
    ToyRuntime::load_with_output("t", source, options, Box::new(captured.clone())).unwrap();
    captured.take()
}

fn every_way() -> [ToyOptions; 3] {
    let options = ToyOptions::default();
    [
        ToyOptions { jit: JitMode::Off, ..options.clone() },
        ToyOptions { hot_calls: 1, collect_every: 50, ..options.clone() },
        options,
    ]
}

/// Numbers below the limit, the same ones for the same seed (an LCG of Knuth's).
fn random(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed;
    move |limit| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % limit
    }
}

#[test]
fn a_map_holds_what_a_btreemap_holds() {
    for seed in 0..8 {
        let mut below = random(seed);
        let mut source = String::from("import \"persistent_map\" as pm;\nlet m = nil;\nlet old = nil;\n");
        let (mut model, mut expected) = (BTreeMap::new(), String::new());
        let mut old = model.clone();
        for operation in 0..600 {
            let key = below(150);
            match below(10) {
                0..=4 => {
                    let _ = writeln!(source, "m = pm.insert(m, {key}, {operation});");
                    model.insert(key, operation);
                }
                5..=7 => {
                    let _ = writeln!(source, "m = pm.remove(m, {key});");
                    model.remove(&key);
                }
                8 => {
                    let _ = writeln!(source, "print(pm.get(m, {key}, -1), pm.has(m, {key}), pm.size(m));");
                    let held = model.get(&key).copied().unwrap_or(-1);
                    let _ = writeln!(expected, "{held} {} {}", model.contains_key(&key), model.len());
                }
                _ => {
                    // The version of before still is what it was.
                    source.push_str("pm.check(m); print(pm.keys(old)); old = m;\n");
                    let _ = writeln!(expected, "{:?}", old.keys().collect::<Vec<_>>());
                    old = model.clone();
                }
            }
        }
        source.push_str(
            "print(pm.fold(m, 0, fn(sum, key, value) { return sum * 31 % 1000003 + key + value; }));\n",
        );
        let fold = model.iter().fold(0, |sum, (key, value)| sum * 31 % 1_000_003 + key.cast_signed() + value);
        let _ = writeln!(expected, "{fold}");
        for options in every_way() {
            assert_eq!(run(&source, options), expected, "seed {seed}");
        }
    }
}

#[test]
fn a_vector_holds_what_a_vec_holds() {
    for seed in 0..4 {
        let mut below = random(seed + 100);
        let mut source =
            String::from("import \"persistent_vector\" as pv;\nlet v = pv.empty;\nlet old = v;\n");
        let (mut model, mut expected) = (Vec::new(), String::new());
        let mut old: Vec<u64> = Vec::new();
        for operation in 0..400 {
            match below(10) {
                0..=3 => {
                    // Over the edges of leaves, at 32 items, and of the second level, at 1024.
                    let count = below(20);
                    let _ = writeln!(source, "for i in 0..{count} {{ v = pv.append(v, {operation} + i); }}");
                    model.extend((0..count).map(|index| operation + index));
                }
                4..=7 if !model.is_empty() => {
                    let index = below(model.len() as u64);
                    let _ =
                        writeln!(source, "v = pv.set(v, {index}, {operation}); print(pv.get(v, {index}));");
                    let _ = writeln!(expected, "{operation}");
                    model[usize::try_from(index).unwrap()] = operation;
                }
                _ => {
                    source.push_str("print(pv.size(old), pv.size(v)); old = v;\n");
                    let _ = writeln!(expected, "{} {}", old.len(), model.len());
                    old = model.clone();
                }
            }
        }
        assert!(model.len() > 1024, "the trie has three levels");
        source.push_str("print(pv.items(old)); print(pv.items(v));\n");
        let _ = writeln!(expected, "{old:?}\n{model:?}");
        for options in every_way() {
            assert_eq!(run(&source, options), expected, "seed {seed}");
        }
    }
}

#[test]
fn an_index_outside_of_a_vector_is_an_error_with_its_place() {
    let source = "import \"persistent_vector\" as pv;\npv.get(pv.empty, 0);";
    let error = ToyRuntime::load_source("t", source, ToyOptions::default()).err().unwrap().to_string();
    assert!(error.contains("where: library/persistent_vector.toy:"), "{error}");
    assert!(error.contains("the index 0 is outside of 0..0"), "{error}");
}

/// Paths are as short as weights promise: at most log(size) to the base 1 / (1 - 1/(3 + 1)).
#[test]
fn paths_stay_short_whatever_the_order() {
    let source = "import \"persistent_map\" as pm;
        let m = nil;
        for i in 0..4096 { m = pm.insert(m, i, i); }
        let longest = 0;
        for i in 0..4096 { if pm.path_length(m, i) > longest { longest = pm.path_length(m, i); } }
        print(longest);";
    let longest: f64 = run(source, ToyOptions::default()).trim().parse().unwrap();
    assert!(longest <= 1.0 + 4097_f64.ln() / (4.0_f64 / 3.0).ln(), "{longest}");
}
