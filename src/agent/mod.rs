//! The agent: a small freestanding library inside the watched processes.
//!
//! It is preloaded into a zygote, runs in every worker from the first instructions after the fork, and
//! logs every page fault into memory that it shares with us. `library/` is compiled by `build.rs` on
//! its own, without the standard library: it allocates nothing, starts no thread, and knows `CPython`
//! only by layouts. [`wire`] is what both sides agree on.

pub mod wire;

/// The library, as it is written to a file to be preloaded. Empty where it was not built.
pub const LIBRARY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/libforkprint_agent.so"));

/// The file name of the library, by which its own pages are told from those of the program.
pub const FILE_NAME: &str = "libforkprint_agent.so";

/// Of the library itself, what is tested here.
#[cfg(test)]
mod library {
    #[path = "version.rs"]
    mod version;

    #[test]
    fn versions_are_known_by_their_words() {
        let told = |text: &str| version::parse(text.as_bytes());
        assert_eq!(told("3.9.18 (main, Aug  1 2024, 10:00:00) \n[GCC 12.2.0]"), Some((3, 9)));
        assert_eq!(told("3.15.0a2+ (heads/main:1f6cbd2, Nov 24 2026) [Clang 20]"), Some((3, 15)));
        assert_eq!(told("3.13.0 experimental free-threading build (main, Oct  7 2024)"), None);
        assert_eq!(told("3.14.0 free-threading build (main, Oct  7 2025)"), None);
        for nonsense in ["", ".", "3", "3.", "three.nine", "3.999", "99999999999999999999.1", "\u{fffd}3.9"] {
            assert_eq!(told(nonsense), None, "{nonsense}");
        }
    }
}
