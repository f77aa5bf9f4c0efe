//! Flags that choose how the toy runtime behaves.

use crate::runtimes::toy::{AllocOrder, AtFork, GcPolicy, JitMode, ToyOptions};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

/// The policies of one toy runtime.
#[derive(Debug, Args)]
#[command(next_help_heading = "Toy runtime")]
pub(super) struct ToyArgs {
    /// How memory is given back
    #[arg(long, default_value_t, value_name = "POLICY", value_parser = memory_policies())]
    gc: GcPolicy,
    /// Where new objects are put
    #[arg(long, default_value_t, value_name = "ORDER", value_parser = allocation_orders())]
    alloc: AllocOrder,
    /// What is done to the heap right before the fork
    #[arg(long, default_value_t, value_name = "WHAT", value_parser = things_at_fork())]
    at_fork: AtFork,
    /// What is done with hot functions
    #[arg(long, default_value_t, value_name = "MODE", value_parser = compiler_modes())]
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

/// Reads the words of `--gc`.
pub(super) fn memory_policies() -> impl TypedValueParser<Value = GcPolicy> {
    PossibleValuesParser::new(GcPolicy::ALL.iter().map(|one| one.word()))
        .try_map(|word| word.parse::<GcPolicy>())
}

/// Reads the words of `--alloc`.
pub(super) fn allocation_orders() -> impl TypedValueParser<Value = AllocOrder> {
    PossibleValuesParser::new(AllocOrder::ALL.iter().map(|one| one.word()))
        .try_map(|word| word.parse::<AllocOrder>())
}

/// Reads the words of `--at-fork`.
pub(super) fn things_at_fork() -> impl TypedValueParser<Value = AtFork> {
    PossibleValuesParser::new(AtFork::ALL.iter().map(|one| one.word())).try_map(|word| word.parse::<AtFork>())
}

/// Reads the words of `--jit`.
pub(super) fn compiler_modes() -> impl TypedValueParser<Value = JitMode> {
    PossibleValuesParser::new(JitMode::ALL.iter().map(|one| one.word()))
        .try_map(|word| word.parse::<JitMode>())
}
