//! Bytes choose a program; it must print the same in every way of running it.
#![no_main]

#[path = "../../tests/toy_generator/mod.rs"]
mod toy_generator;
#[path = "../../tests/toy_ways/mod.rs"]
mod toy_ways;

use libfuzzer_sys::{Corpus, fuzz_target};
use std::sync::OnceLock;
use toy_generator::Generator;
use toy_ways::{Ways, run};

static WAYS: OnceLock<Ways> = OnceLock::new();

fuzz_target!(|bytes: &[u8]| -> Corpus {
    // The first two bytes choose the ways, the others the program.
    let Some((number, choices)) = bytes.split_first_chunk::<2>() else { return Corpus::Reject };
    let source = Generator::from_bytes(choices).program();
    let expected = run(&source, Ways::reference());
    assert!(!expected.contains("malformed"), "{expected}\n{source}");
    for options in WAYS.get_or_init(Ways::new).for_program(u16::from_le_bytes(*number).into()) {
        let found = run(&source, options.clone());
        if !expected.contains("out of memory") && !found.contains("out of memory") {
            assert_eq!(found, expected, "{options:?}\n{source}");
        }
    }
    Corpus::Keep
});
