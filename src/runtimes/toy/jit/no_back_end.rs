//! Stands in for a back end on processors that have none.

use super::plan::Plan;
use super::{Assembled, Layout};
use crate::runtimes::toy::gc::Barrier;
use crate::runtimes::toy::lang::bytecode::Program;

pub(super) fn trampoline() -> Option<Vec<u8>> {
    None
}

pub(super) fn resumption() -> Option<Vec<u8>> {
    None
}

pub(super) fn compile(_: &Program, _: u32, _: Plan, _: Barrier, _: Layout) -> Option<Assembled> {
    None
}
