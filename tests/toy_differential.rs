//! Generated programs must print the same in every way of running them: interpreted or compiled, under
//! every memory policy, with a collection after every few allocations, and left by compiled code at
//! random.

mod toy_generator;
mod toy_ways;

use forkprint::runtimes::toy::{JitMode, ToyOptions};
use toy_generator::Generator;
use toy_ways::{Ways, run};

/// Programs in a default run; `FORKPRINT_TOY_PROGRAMS` asks for more.
const PROGRAMS: u64 = 2_000;

fn programs() -> u64 {
    std::env::var("FORKPRINT_TOY_PROGRAMS").ok().and_then(|text| text.parse().ok()).unwrap_or(PROGRAMS)
}

#[test]
fn generated_programs_run_alike_in_every_way() {
    let ways = Ways::new();
    let (mut finished, mut full) = (0, 0);
    for seed in 0..programs() {
        let source = Generator::new(seed).program();
        let expected = run(&source, Ways::reference());
        assert!(!expected.contains("malformed"), "seed {seed}: {expected}\n{source}");
        finished += u64::from(expected.ends_with("finished"));
        for options in ways.for_program(seed) {
            let found = run(&source, options.clone());
            // When a heap is full depends on the policy.
            if expected.contains("out of memory") || found.contains("out of memory") {
                full += 1;
                continue;
            }
            assert_eq!(found, expected, "seed {seed}, {options:?}\n{source}");
        }
    }
    println!("{} programs, {finished} of them without an error; {full} runs filled the heap", programs());
    assert!(finished * 3 > programs(), "too few programs run to their end: {finished}");
    assert!(full * 100 <= programs(), "too many runs fill the heap: {full}");
}

#[test]
fn the_programs_of_a_default_run_try_every_pair_of_choices() {
    assert_eq!(Ways::new().pairs_left_out_of(PROGRAMS), Vec::<String>::new());
}

/// A program with pieces left out, doubled and swapped is an error or runs, but nothing else.
#[test]
fn mangled_programs_never_crash() {
    for seed in 0..2_000 {
        let source = Generator::new(seed % 50).program();
        let mut pieces: Vec<&str> = source.split_inclusive([' ', '(', ')', ',', ';']).collect();
        let mut random = Generator::new(seed + 1_000_000);
        for _ in 0..=random.below(3) {
            let mut place = || usize::try_from(random.below(pieces.len() as u64)).unwrap();
            let (from, to) = (place(), place());
            match seed % 3 {
                0 => pieces.swap(from, to),
                1 => drop(pieces.remove(from)),
                _ => pieces.insert(to, pieces[from]),
            }
        }
        let options = ToyOptions { heap_limit: 4 << 20, hot_calls: 1, ..ToyOptions::default() };
        let mangled = pieces.concat();
        let interpreted = ToyOptions { jit: JitMode::Off, ..options.clone() };
        if !mangled.contains("while") && !mangled.contains("fn g") {
            assert_eq!(run(&mangled, options), run(&mangled, interpreted), "{mangled}");
        }
    }
}
