//! Flags that choose how the toy runtime behaves.

use crate::runtimes::toy::{AllocOrder, AtFork, GcPolicy, JitMode, ToyOptions};
use clap::Args;

/// The policies of one toy runtime.
#[derive(Debug, Args)]
#[command(next_help_heading = "Toy runtime")]
pub(super) struct ToyArgs {
    /// How memory is given back: refcount, refcount-side, mark-header, mark-bitmap, copying, compacting, generational, none
    #[arg(long, default_value_t, value_name = "POLICY")]
    gc: GcPolicy,
    /// Where new objects are put: bump, size-class, scattered
    #[arg(long, default_value_t, value_name = "ORDER")]
    alloc: AllocOrder,
    /// What is done to the heap right before the fork: nothing, freeze, compact, compact-freeze
    #[arg(long, default_value_t, value_name = "WHAT")]
    at_fork: AtFork,
    /// What is done with hot functions: patch, side-counters, indirect, warm, off
    #[arg(long, default_value_t, value_name = "MODE")]
    jit: JitMode,
}

impl ToyArgs {
    pub(super) fn options(&self) -> ToyOptions {
        ToyOptions {
            gc: self.gc,
            alloc: self.alloc,
            at_fork: self.at_fork,
            jit: self.jit,
            ..ToyOptions::default()
        }
    }
}
