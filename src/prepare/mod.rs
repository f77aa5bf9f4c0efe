//! Makes a heap ready for a fork.
#![allow(unsafe_code)]

pub mod extensions;
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "addresses and sizes of a 64-bit process, whose layouts are those of C"
)]
#[allow(clippy::cast_ptr_alignment, reason = "what is mapped is aligned")]
pub mod heap;
pub mod native;
