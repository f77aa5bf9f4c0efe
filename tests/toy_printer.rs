//! Programs laid out at random are printed in one form, whatever they looked like before.

mod toy_generator;

use forkprint::runtimes::toy::format_source;
use std::path::Path;

/// Numbers below the limit, the same ones for the same seed (an LCG of Knuth's).
fn random(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed;
    move |limit| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % limit
    }
}

/// Bytes of the number that the text begins with: `12`, `1.5`, `1e-14`, but `0` of `0..9`.
fn number(text: &str) -> usize {
    let digits =
        |from: usize| from + text[from..].find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len() - from);
    let begins_with_digit = |at: usize| text[at..].starts_with(|c: char| c.is_ascii_digit());
    let mut end = digits(0);
    if text[end..].starts_with('.') && begins_with_digit(end + 1) {
        end = digits(end + 1);
    }
    if text[end..].starts_with('e') {
        let exponent = end + if text[end + 1..].starts_with(['-', '+']) { 2 } else { 1 };
        end = if begins_with_digit(exponent) { digits(exponent) } else { end };
    }
    end
}

/// Tokens of a program without comments, split by the simplest rules that do.
fn tokens(source: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if first == '"' {
            let mut escaped = false;
            let end = rest[1..].find(|c| {
                let closes = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                closes
            });
            end.unwrap() + 2
        } else if first.is_ascii_digit() {
            number(rest)
        } else if first.is_alphanumeric() || first == '_' {
            rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len())
        } else if ["==", "!=", "<=", ">=", ".."].iter().any(|symbol| rest.starts_with(symbol)) {
            2
        } else {
            first.len_utf8()
        };
        let (token, after) = rest.split_at(length);
        if !token.trim().is_empty() && !token.starts_with("//") {
            tokens.push(token.to_owned());
        }
        rest = after;
    }
    tokens
}

/// Every shipped program, with its header comments and all.
fn programs() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders =
        ["workloads/toy", "src/runtimes/toy/library"].map(|folder| std::fs::read_dir(root.join(folder)));
    let files = folders.into_iter().flat_map(|folder| folder.unwrap().map(|entry| entry.unwrap().path()));
    let files = files.filter(|path| path.extension().is_some_and(|ending| ending == "toy"));
    files.map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

#[test]
fn any_layout_is_printed_alike_and_no_comment_is_lost() {
    for (index, program) in programs().into_iter().enumerate() {
        let tokens = tokens(&program);
        for seed in 0..12 {
            let mut below = random(seed * 1000 + index as u64);
            let (mut source, mut comments) = (String::new(), Vec::new());
            for token in &tokens {
                source.push_str(token);
                match below(12) {
                    0 => source.push_str("\n\n\n"),
                    1..=2 => source.push_str("\n\t "),
                    3 if seed > 3 => {
                        comments.push(format!("// c{}", comments.len()));
                        source.push_str(&format!(" {}\n", comments[comments.len() - 1]));
                    }
                    4 if seed > 3 => {
                        comments.push(format!("// c{}", comments.len()));
                        source.push_str(&format!("\n{}\n\n", comments[comments.len() - 1]));
                    }
                    _ => source.push(' '),
                }
            }
            let printed = format_source("t", &source).unwrap_or_else(|error| panic!("{error}\n{source}"));
            let again = format_source("t", &printed).unwrap_or_else(|error| panic!("{error}\n{printed}"));
            assert_eq!(again, printed, "printing twice is printing once");
            let commas =
                |tokens: Vec<String>| tokens.into_iter().filter(|token| token != ",").collect::<Vec<_>>();
            assert_eq!(commas(self::tokens(&printed)), commas(tokens.clone()));
            let mut found: Vec<&str> =
                printed.lines().filter_map(|line| line.find("// c").map(|at| &line[at..])).collect();
            found.sort_unstable();
            comments.sort_unstable();
            assert_eq!(found, comments);
            let crowded =
                |line: &str| line.chars().count() > 100 && !line.contains('"') && !line.contains("//");
            assert!(!printed.lines().any(crowded), "{printed}");
            assert!(printed.lines().all(|line| line == line.trim_end()));
        }
    }
}

#[test]
fn what_does_not_parse_is_not_printed() {
    let error = format_source("a.toy", "let a = 1;\nlet = 2;").err().unwrap().to_string();
    assert!(error.contains("a.toy:2:5"), "{error}");
}

#[test]
fn generated_programs_are_printed_and_stay_the_same() {
    for seed in 0..300 {
        let source = toy_generator::Generator::new(seed).program();
        let printed = format_source("t", &source).unwrap_or_else(|error| panic!("{error}\n{source}"));
        assert_eq!(format_source("t", &printed).unwrap(), printed, "seed {seed}");
    }
}
