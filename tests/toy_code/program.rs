//! A program whose compiled code meets in its steps what it has not met in the zygote.

use forkprint::runtimes::toy::{JitMode, ToyOptions, ToyRuntime};
use std::fmt::Write as _;

/// The workload of this name, compiled as it says.
pub fn load_workload(name: &str, jit: JitMode) -> ToyRuntime {
    let path = format!("{}/workloads/toy/{name}", env!("CARGO_MANIFEST_DIR"));
    let source = std::fs::read_to_string(path).unwrap();
    let options = ToyOptions { jit, ..ToyOptions::default() };
    ToyRuntime::load_with_output(name, &source, options, Box::new(std::io::sink())).unwrap()
}

/// Stages, each with places that stay cold in the zygote.
const STAGES: usize = 24;
/// Shapes that the places meet: more than an inline cache has entries.
const SHAPES: [&str; 6] = [
    "{x: 1, y: 2}",
    "{y: 1, x: 2}",
    "{a: 0, x: 3, y: 1}",
    "{x: 4, b: 1, y: 1}",
    "{y: 5, c: 1, x: 1}",
    "{d: 0, e: 0, x: 6, y: 6}",
];

/// Meets one shape and one function at every place.
pub const MEET_ONE: u8 = 0;
/// Meets six shapes and six functions at every place.
pub const MEET_MANY: u8 = 1;
/// Calls functions for the first time, until they are compiled.
pub const COMPILE: u8 = 2;

pub fn load(jit: JitMode) -> ToyRuntime {
    let options = ToyOptions { jit, hot_calls: 3, ..ToyOptions::default() };
    ToyRuntime::load_with_output("t", &source(), options, Box::new(std::io::sink())).unwrap()
}

fn source() -> String {
    let mut source = String::from("fn add(a, b) { return a + b; }\nfn twice(a) { return add(a, a); }\n");
    for number in 0..SHAPES.len() {
        let _ = writeln!(source, "fn other_{number}(r) {{ return r.y + {number}; }}");
    }
    for stage in 0..STAGES {
        let _ = writeln!(
            source,
            "fn stage_{stage}(r, f, warm) {{
                let sum = {stage};
                if warm {{ sum = add(sum, r.x) + f(r); r.y = r.y + twice(1); sum = sum + add(r.x, r.y); }}
                return sum;
            }}
            fn late_{stage}(r) {{ r.x = r.x + {stage}; return add(r.x, r.y); }}"
        );
    }
    source.push_str("fn run_stages(r, f, warm) { let sum = 0;\n");
    for stage in 0..STAGES {
        let _ = writeln!(source, "sum = sum + stage_{stage}(r, f, warm);");
    }
    let others: Vec<String> = (0..SHAPES.len()).map(|number| format!("other_{number}")).collect();
    let _ = writeln!(
        source,
        "return sum; }}\nlet all = [{}];\nlet others = [{}];",
        SHAPES.join(", "),
        others.join(", ")
    );
    source.push_str("for round in 0..9 { for f in others { f(all[0]); } twice(round); run_stages(all[0], other_0, false); }\n");
    source.push_str("step meet_one { print(run_stages(all[0], other_0, true)); }\n");
    source
        .push_str("step meet_many { for f in others { for r in all { print(run_stages(r, f, true)); } } }\n");
    source.push_str("step compile { for round in 0..9 {\n");
    for stage in 0..STAGES {
        let _ = writeln!(source, "late_{stage}(all[round % 2]);");
    }
    source.push_str("} }\n");
    source
}
