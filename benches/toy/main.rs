//! How fast the toy runtime is: its own ways of running against each other, and against CPython.

mod speed;

fn main() {
    // `cargo test --benches` only wants to know that this runs.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    speed::main();
}
