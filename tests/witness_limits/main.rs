//! What is left of the evidence where the kernel grants less: to an ordinary user, and without perf.

#[path = "../common/bench.rs"]
mod bench;
#[path = "../common/causes.rs"]
mod causes;
mod forbidden;
#[path = "../common/libpython.rs"]
mod libpython;
mod ordinary;
#[path = "../common/skip.rs"]
mod skip;
#[path = "../common/witness.rs"]
mod witness;
