//! How fast the toy runtime is: its own ways of running against each other, and against CPython.
//!
//! The sides of a ratio run in turn, and medians count. `cargo bench --bench toy -- collections` runs
//! one part by its name.

#[allow(dead_code, reason = "the other benches use the rest")]
#[path = "../snapshot/bounds.rs"]
mod bounds;
#[path = "../../tests/common/captured.rs"]
mod captured;
mod collections;
mod speed;

use bounds::Bounds;

type Part = fn(&mut Bounds);

const PARTS: [(&str, Part); 2] = [("speed", speed::run), ("collections", collections::run)];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    // `cargo test --benches` only wants to know that this runs.
    if arguments.iter().any(|argument| argument == "--test") {
        return;
    }
    let mut bounds = Bounds::default();
    for (name, part) in PARTS {
        if arguments.is_empty() || arguments.iter().any(|wanted| wanted == name) {
            part(&mut bounds);
        }
    }
    bounds.finish();
}
