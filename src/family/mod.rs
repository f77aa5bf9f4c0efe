//! The pure model: pages, processes, what a fork shares, and who pays. No I/O happens here.
//!
//! [`page`] decodes one pagemap entry, [`table`] holds a process's pages, [`mod@diff`] compares a worker
//! with what it inherited, and [`ledger`] divides the frames of a whole family among its members.

pub mod breaks;
pub mod cause;
pub mod diff;
pub mod inherited;
pub mod ledger;
pub mod page;
pub mod recording;
pub mod region;
pub mod rung;
#[doc(hidden)]
pub mod synthetic;
pub mod table;
pub mod vma;
mod worker_step;

pub use breaks::{Breaks, Witness};
pub use cause::Cause;
pub use diff::{Diff, Evidence, PageRanges, PageState, diff, range_pages, subtract};
pub use inherited::Inherited;
pub use ledger::{FrameOwners, Ledger, LedgerShare};
pub use page::PageEntry;
pub use region::Region;
pub use rung::Rung;
pub use table::{PageTable, Process, Run};
pub use vma::{Vma, VmaFlags};
