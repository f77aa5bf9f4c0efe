//! What tracing costs: the workers that are traced, and those who explain what they did.
//!
//! Each bound is printed with the ratio measured; the sides of a ratio run in turn, and the median of
//! the ratios counts. `cargo bench --bench trace -- breaks` runs one part by its name.

#[allow(dead_code, reason = "the other bench uses the rest")]
#[path = "../snapshot/bounds.rs"]
mod bounds;
mod breaks;
mod explaining;
mod heap;
mod target;

use bounds::Bounds;
use std::path::PathBuf;
use std::process::Command;

type Part = fn(&mut Bounds);

const PARTS: [(&str, Part); 3] =
    [("breaks", breaks::native), ("python", breaks::python), ("explaining", explaining::explain)];

#[global_allocator]
static HEAP: heap::Counting = heap::Counting;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if arguments.first().is_some_and(|word| word == target::TARGET) {
        return target::be_target();
    }
    nix::sys::prctl::set_thp_disable(true).expect("base pages, in everything we start");
    let mut bounds = Bounds::default();
    for (name, part) in PARTS {
        if arguments.is_empty() || arguments.iter().any(|wanted| wanted == name) {
            part(&mut bounds);
        }
    }
    bounds.finish();
}

/// The interpreter of `make`, or the one on PATH: the program itself, not a script in front of it.
fn interpreter() -> PathBuf {
    let asked = std::env::var("FORKPRINT_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let told = Command::new(asked).args(["-c", "import sys; print(sys.executable)"]).output();
    String::from_utf8_lossy(&told.expect("a Python").stdout).trim().into()
}
