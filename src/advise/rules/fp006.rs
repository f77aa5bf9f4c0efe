//! FP006: an allocator whose books do not stand between the data.

use super::measured::Measured;
use super::{Change, Evidence, Judgement, Rule};
use crate::family::breaks::{Break, Breaks};
use crate::family::cause::Cause;
use crate::units::Bytes;
use std::path::{Path, PathBuf};

pub(super) static RULE: Rule = Rule {
    code: "FP006",
    title: "Keep the allocator's books apart",
    summary: "Gives free memory back before the fork, limits glibc's arenas, or loads another allocator, so that workers allocate in pages of their own and not in holes between inherited data.",
    caveats: &[
        "another allocator changes speed and memory of the whole program: look at throughput and total, not at broken pages alone",
        "PYTHONMALLOC=malloc takes 16 bytes more for each object where glibc serves it",
        "variables must stand in the environment before the interpreter starts: in the unit file or the image, not in the configuration",
    ],
    judge,
};

/// Where distributions keep shared libraries.
const FOLDERS: [&str; 6] = [
    "/usr/local/lib",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/lib/x86_64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
];
const LIBRARIES: [&str; 5] =
    ["libjemalloc.so.2", "libjemalloc.so.1", "libmimalloc.so.3", "libmimalloc.so.2", "libmimalloc.so"];

fn judge(evidence: &Evidence<'_>) -> Judgement {
    let measured = match Measured::witnessed(evidence) {
        Ok(measured) => measured,
        Err(why) => return Judgement::DoesNot(why),
    };
    let seen = match measured.judge(Cause::Allocator) {
        Ok(seen) => seen,
        Err(why) => return Judgement::DoesNot(why),
    };
    let written = measured.of_cause(Cause::Allocator);
    let breaks = &evidence.recording.breaks;
    let pages = written.pages();
    let glibc = written.only(|row| is_libc(breaks, row)).pages();
    let share = format!(
        "{} by malloc of the C library, {} by the interpreter's own allocator",
        Bytes::of_pages(measured.per_worker(glibc)),
        Bytes::of_pages(measured.per_worker(pages - glibc))
    );
    Judgement::applies(
        format!("{seen}: {share}"),
        change(evidence, 2 * glibc >= pages, installed().as_deref()),
    )
}

/// Whether the instruction that wrote is the C library's.
fn is_libc(breaks: &Breaks, row: &Break) -> bool {
    // Whoever hands out a block may have it cleared, by a function of the C library that is no allocator.
    const FILLS: [&str; 3] = ["memset", "memcpy", "memmove"];
    let writer = breaks.writers.get(row.writer as usize);
    writer.is_some_and(|writer| {
        let libc = writer.library.starts_with("libc.") || writer.library.starts_with("libc-");
        libc && !FILLS.iter().any(|fills| writer.symbol.contains(fills))
    })
}

/// Another allocator where one is installed; otherwise the one there is, with its free memory given
/// back before the fork.
fn change(evidence: &Evidence<'_>, mostly_libc: bool, library: Option<&Path>) -> Change {
    let python: &[(&str, &str)] = if mostly_libc { &[] } else { &[("PYTHONMALLOC", "malloc")] };
    if let Some(library) = library {
        let preload = library.to_string_lossy();
        return Change::default().with_environment(python).with_environment(&[("LD_PRELOAD", &preload)]);
    }
    let trim = ["import ctypes", "import gc", "gc.collect()", "ctypes.CDLL(None).malloc_trim(0)"];
    let one_arena = [("MALLOC_ARENA_MAX", "1")];
    Change::before_fork(evidence.target, &trim).with_environment(python).with_environment(&one_arena)
}

/// The first allocator that this machine has.
fn installed() -> Option<PathBuf> {
    let candidates =
        LIBRARIES.iter().flat_map(|name| FOLDERS.iter().map(move |folder| Path::new(folder).join(name)));
    candidates.into_iter().find(|path| path.exists())
}

#[cfg(test)]
mod tests {
    use super::super::samples::{Sample, variables};
    use super::*;

    #[test]
    fn another_allocator_is_loaded_where_it_is_installed_and_pymalloc_steps_aside_for_it() {
        let sample = Sample::python("x = 1\n");
        let library = Path::new("/usr/lib/libjemalloc.so.2");
        let change_for = |libc, library| sample.with(|evidence| change(evidence, libc, library));
        assert_eq!(variables(&change_for(true, Some(library))), ["LD_PRELOAD=/usr/lib/libjemalloc.so.2"]);
        assert_eq!(
            variables(&change_for(false, Some(library))),
            ["PYTHONMALLOC=malloc", "LD_PRELOAD=/usr/lib/libjemalloc.so.2"]
        );
        let trimmed = change_for(true, None);
        assert_eq!(
            (variables(&trimmed).as_slice(), trimmed.edits.len()),
            (&["MALLOC_ARENA_MAX=1".to_owned()][..], 1)
        );
    }
}
