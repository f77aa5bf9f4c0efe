//! Programs that are not made to be measured: each gets a weaker answer and a word about it. None is
//! harmed, none hangs us, and nothing of theirs gets into a report unescaped.

#[path = "../common/bench.rs"]
mod bench;
#[path = "../common/causes.rs"]
mod causes;
mod children;
mod code;
mod deaths;
mod descriptors;
#[path = "../common/libpython.rs"]
mod libpython;
mod limits;
mod names;
mod signals;
#[path = "../common/skip.rs"]
mod skip;
mod target;
#[path = "../common/witness.rs"]
mod witness;
