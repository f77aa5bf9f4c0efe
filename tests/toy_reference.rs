//! The examples of `docs/toy.md` are what the language does.

mod toy_ways;

use toy_ways::{Ways, run};

fn reference() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/toy.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (start, end) = (text.find("## The language").unwrap(), text.find("## Options").unwrap());
    text[start..end].to_owned()
}

/// Everything of the form `expression` is `result`.
fn examples(text: &str) -> Vec<(&str, &str)> {
    let parts: Vec<&str> = text.split('`').collect();
    let code = parts.windows(3).skip(1).step_by(2);
    code.filter(|window| window[1] == " is ").map(|window| (window[0], window[2])).collect()
}

#[test]
fn every_example_gives_what_it_says() {
    let text = reference();
    let tables = &text[text.find("### Values").unwrap()..];
    let examples = examples(tables);
    assert!(examples.len() > 30, "{examples:?}");
    for (expression, result) in examples {
        let printed = run(&format!("print({expression});"), Ways::reference());
        assert_eq!(printed, format!("{result}\nfinished"), "{expression}");
    }
}

#[test]
fn the_program_at_its_top_runs() {
    let text = reference();
    let program = text.split("```").nth(1).unwrap();
    for options in Ways::new().for_program(1) {
        assert_eq!(run(program, options), "first {id: 0, name: \"root\"}\nfinished");
    }
}

#[test]
fn the_limits_are_those_of_the_table() {
    let nested = |levels: usize| format!("let x = {}1{};", "(".repeat(levels), ")".repeat(levels));
    let fields = |count: usize| {
        let all: Vec<String> = (0..count).map(|number| format!("f{number}: 0")).collect();
        format!("let r = {{{}}};", all.join(", "))
    };
    let parameters = |count: usize| {
        let all: Vec<String> = (0..count).map(|number| format!("p{number}")).collect();
        format!("fn f({}) {{}}", all.join(", "))
    };
    let calls = |count: usize| format!("fn f(n) {{ if n == 1 {{ return; }} f(n - 1); }} f({count});");
    for (fits, refused) in [
        (nested(99), nested(100)),
        (fields(64), fields(65)),
        (parameters(32), parameters(33)),
        (calls(9_999), calls(10_000)),
    ] {
        assert_eq!(run(&fits, Ways::reference()), "finished", "{fits}");
        assert_ne!(run(&refused, Ways::reference()), "finished", "{refused}");
    }
}
