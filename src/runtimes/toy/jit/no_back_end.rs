//! Stands in for a back end on processors that have none.

use super::{Assembled, Layout};
use crate::runtimes::toy::gc::Barrier;
use crate::runtimes::toy::lang::bytecode::Function;

pub(super) fn trampoline() -> Option<Vec<u8>> {
    None
}

pub(super) fn compile(_: u32, _: &Function, _: usize, _: Barrier, _: Layout) -> Option<Assembled> {
    None
}
