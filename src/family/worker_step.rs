//! One worker after one step.

use crate::units::{Bytes, PAGE_SIZE};
use serde::{Deserialize, Serialize};

/// One worker after one step, in pages since the fork.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WorkerStep {
    /// Index of the worker.
    pub worker: u32,
    /// Process id.
    pub pid: u32,
    /// Pages inherited at the fork.
    pub inherited: u64,
    /// Inherited pages no longer shared with the zygote.
    pub broken: u64,
    /// Of these, written by the worker (also where the zygote wrote too).
    pub broken_by_worker: u64,
    /// Of these, written by the zygote (also where the worker wrote too).
    pub broken_by_zygote: u64,
    /// Broken pages whose bytes still equal the fork-time bytes.
    pub ghost: u64,
    /// Broken pages whose fork-time bytes could not be read: neither ghost nor known to differ.
    #[serde(default)]
    pub uncompared: u64,
    /// Of `ghost`, pages that only the zygote wrote: there its copy bought nothing.
    #[serde(default)]
    pub ghost_zygote_only: u64,
    /// Of `uncompared`, pages that only the zygote wrote.
    #[serde(default)]
    pub uncompared_zygote_only: u64,
    /// Private pages made after the fork.
    pub fresh: u64,
    /// Inherited pages no longer mapped.
    pub gone: u64,
    /// Bytes that differ from the fork-time bytes, in all broken pages together.
    pub bytes_changed: u64,
    /// Nanoseconds that this step alone took by the worker's clock; zero where nobody measured it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub nanoseconds: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl WorkerStep {
    /// Bytes copied for each byte that really differs; `None` when nothing differs.
    #[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
    pub fn amplification(&self) -> Option<f64> {
        (self.bytes_changed > 0).then(|| (self.broken * PAGE_SIZE) as f64 / self.bytes_changed as f64)
    }

    /// Bytes of the broken pages.
    pub fn broken_bytes(&self) -> Bytes {
        Bytes::of_pages(self.broken)
    }
}
