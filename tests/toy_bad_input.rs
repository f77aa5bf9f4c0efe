//! Whatever is fed to the toy runtime ends with an error that names a place, in every way of running it.

#[allow(dead_code, reason = "only its numbers are used here")]
mod toy_generator;
mod toy_ways;

use forkprint::runtimes::toy::{JitMode, ToyOptions, ToyRuntime};
use std::fmt::Write as _;
use std::io::Write as _;
use toy_generator::Generator;
use toy_ways::{Ways, run};

const TEN_MEGABYTES: usize = 10 << 20;

fn load(source: &str) -> Result<ToyRuntime, String> {
    let options = ToyOptions { jit: JitMode::Off, heap_limit: 256 << 20, ..ToyOptions::default() };
    ToyRuntime::load_with_output("t", source, options, Box::new(std::io::sink()))
        .map_err(|error| error.to_string())
}

/// The line and the column of the error.
fn place_of_refusal(source: &str) -> (usize, usize) {
    let beginning: String = source.chars().take(60).collect();
    let message = load(source).err().unwrap_or_else(|| panic!("accepted: {beginning}"));
    assert!(message.len() < 1000, "{beginning}: {} bytes of message", message.len());
    let place = message.split("t:").nth(1).unwrap_or_else(|| panic!("no place: {message}"));
    let mut numbers = place.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

fn random_bytes(seed: u64, count: usize) -> Vec<u8> {
    let mut random = Generator::new(seed);
    (0..count).map(|_| u8::try_from(random.below(256)).unwrap()).collect()
}

#[test]
fn ten_megabytes_of_bytes_are_refused() {
    let bytes = random_bytes(1, TEN_MEGABYTES);
    place_of_refusal(&String::from_utf8_lossy(&bytes));
    let printable: String = bytes.iter().map(|byte| char::from(b' ' + byte % 95)).collect();
    place_of_refusal(&printable);

    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&bytes).unwrap();
    let error = ToyRuntime::load(file.path(), ToyOptions::default()).err().unwrap().to_string();
    assert!(error.contains("is not UTF-8"), "{error}");
}

#[test]
fn ten_megabytes_of_tokens_are_refused() {
    const TOKENS: &[&str] = &[
        "let", "fn", "step", "if", "else", "while", "for", "in", "return", "assert", "nil", "not", "and",
        "x", "y", "1", "2.5", "\"s\"", "(", ")", "[", "]", "{", "}", ",", ";", ":", ".", "..", "=", "==",
        "+", "-", "*", "/", "<",
    ];
    for seed in 0..4 {
        let mut random = Generator::new(seed);
        let mut source = String::with_capacity(TEN_MEGABYTES);
        while source.len() < TEN_MEGABYTES {
            source += TOKENS[usize::try_from(random.below(TOKENS.len() as u64)).unwrap()];
            source.push(' ');
        }
        place_of_refusal(&source);
    }
}

/// Garbage is mostly refused at its beginning. This one stands at the end of a program that is fine.
#[test]
fn what_is_wrong_after_ten_megabytes_is_found() {
    let mut source = "let m = [:];\n".to_owned();
    let mut lines = 2;
    while source.len() < TEN_MEGABYTES {
        if lines == 1_000 {
            assert_eq!(place_of_refusal(&format!("{source}f5(1, 2);")), (lines, 3));
            assert_eq!(place_of_refusal(&format!("{source}f5([]);")), (5, 47));
        }
        let _ =
            writeln!(source, "fn f{lines}(a) {{ if a == {lines} {{ return [a, {{x: a}}]; }} m[a] = 1.5; }}");
        lines += 1;
    }
    assert_eq!(place_of_refusal(&format!("{source}f5(1 2);")), (lines, 6));
}

#[test]
fn ten_megabytes_of_nesting_are_refused() {
    for pattern in
        ["(", "[", "{", "[1:", "[[", "{a:", "-", "not ", "f(", "if a {", "fn f() {", "x[", "1+(", "while 1 {"]
    {
        place_of_refusal(&pattern.repeat(TEN_MEGABYTES / pattern.len()));
    }
}

#[test]
fn one_token_of_ten_megabytes_is_no_trouble() {
    let long = |c: &str| c.repeat(TEN_MEGABYTES);
    assert_eq!(place_of_refusal(&format!("let x = {};", long("9"))), (1, 9));
    assert_eq!(place_of_refusal(&format!("let x = 1.{}e999;", long("9"))), (1, 9));
    assert_eq!(place_of_refusal(&format!("\"{}", long("s"))), (1, 1));
    assert!(load(&format!("let x = 0.{}; assert x == 0.0;", long("0"))).is_ok());
    assert!(load(&format!("let s = \"{}\"; assert len(s) == {TEN_MEGABYTES};", long("s"))).is_ok());
    assert!(load(&format!("// {}\nlet x = 1;", long("c"))).is_ok());
    let items = "7,".repeat(1_000_000);
    assert!(load(&format!("let x = [{items}]; assert len(x) == 1000000;")).is_ok());
    place_of_refusal(&format!("let {} = 1", "x".repeat(1000)));
}

#[test]
fn mistakes_while_running_end_with_an_error_in_every_way() {
    let full = "out of memory: the heap limit of 4.0 MiB is reached";
    let deep = "the calls are nested deeper than 10000; is this an endless recursion?";
    let cases = [
        ("fn f(a, b) {\n  return a / b;\n}\nf(6, 2); f(1, 0);", "t:2:12", "division by zero"),
        ("fn f(a, b) {\n  return a % b;\n}\nf(6, 4); f(1, 0);", "t:2:12", "division by zero"),
        ("let a = [1, 2];\nfor i in 0..3 { a[i]; }", "t:2:18", "the index 2 is outside of 0..2"),
        ("let m = [1: 2];\nfor i in [1, \"one\"] { m[i]; }", "t:2:24", "the map has no key \"one\""),
        ("fn f(n) {\n return f(n + 1) + 1; }\nf(0);", "t:2:10", deep),
        ("let all = [nil];\nall[0] = fn(n) { return all[0](n) or 1; };\nall[0](1);", "t:2:31", deep),
        ("let a = [];\nwhile true { push(a, [1]); }", "t:2:", full),
        ("let m = [:]; let n = 0;\nwhile true { m[n] = n; n = n + 1; }", "t:2:", full),
        ("let s = \"x\";\nwhile true { s = s + s; }", "t:2:", full),
        ("let a = [];\nwhile true { push(a, 1e300 * 10); }", "t:2:", full),
        ("let f = nil;\nwhile true { let g = f; f = fn() { return g; }; }", "t:2:", full),
    ];
    let ways = Ways::new();
    for (number, (source, place, message)) in (0..).zip(cases) {
        for options in (0..5).flat_map(|round| ways.for_program(1000 * round + number)) {
            // With a collection for every object of a full heap, this takes for ever.
            let collect_every = if message == full { 0 } else { options.collect_every };
            let options = ToyOptions { heap_limit: 4 << 20, collect_every, ..options };
            let end = run(source, options.clone());
            assert!(end.contains(place) && end.contains(message), "{options:?}\n{source}\n{end}");
        }
    }
}

#[test]
fn early_return_leaves_loops_and_blocks() {
    let source = "
        fn find(list, wanted) {
            for at in 0..len(list) { if list[at] == wanted { return at; } }
            while true { { return; } }
        }
        print(find([5, 6, 7], 6), find([5], 6));
        fn nothing() { return; print(1); }
        print(nothing(), [fn() { return 1; return 2; }()]);
        assert nothing() == nil, \"nothing\";
        assert find([1], 2), \"not \" + str([\"found\": 2]);";
    for options in (0..20).flat_map(|round| Ways::new().for_program(round).collect::<Vec<_>>()) {
        let end = run(source, options.clone());
        assert!(end.starts_with("1 nil\nnil [1]\n"), "{options:?}: {end}");
        assert!(end.contains("t:10:9") && end.contains("assertion failed: not [\"found\": 2]"), "{end}");
    }
}
