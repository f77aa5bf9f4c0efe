//! Code of the toy runtime that moves objects, by its symbols.

/// Modules of `src/runtimes/toy/gc/` that write to objects only to move them.
const MODULES: &[&str] = &["cheney", "compacting", "copying", "evacuate", "generational", "slide"];
/// Functions that move objects, wherever they stand.
const FUNCTIONS: &[&str] = &["collect", "compact"];
/// What else those modules do: make new objects.
const OTHERS: &[&str] = &["allocate"];
/// Functions of the C library by which whole objects are copied. A program's strings and lists are
/// copied by them too, but only into objects that are new.
const COPIERS: &[&str] = &["memcpy", "memmove", "__memcpy", "__memmove"];

/// Whether a function, by its demangled symbol, moves objects.
pub fn is_mover(symbol: &str) -> bool {
    if let Some((_, path)) = symbol.split_once("runtimes::toy::gc::") {
        let names = || path.split(|c: char| !c.is_alphanumeric() && c != '_');
        let moves = names().any(|name| MODULES.contains(&name) || FUNCTIONS.contains(&name));
        return moves && !names().any(|name| OTHERS.contains(&name));
    }
    COPIERS.iter().any(|copier| {
        symbol.strip_prefix(copier).is_some_and(|rest| rest.is_empty() || rest.starts_with(['_', '@']))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collectors_move_and_programs_do_not() {
        for symbol in [
            "forkprint::runtimes::toy::gc::cheney::Cheney::copy",
            "<forkprint::runtimes::toy::gc::compacting::Compacting as forkprint::runtimes::toy::gc::plan::Plan>::collect",
            "forkprint::runtimes::toy::gc::generational::old::Old::promote::{{closure}}",
            "forkprint::runtimes::toy::gc::heap::Heap::collect",
            "__memmove_avx_unaligned_erms",
            "memcpy",
        ] {
            assert!(is_mover(symbol), "{symbol}");
        }
        for symbol in [
            "",
            "<forkprint::runtimes::toy::gc::copying::Copying as forkprint::runtimes::toy::gc::plan::Plan>::allocate",
            "forkprint::runtimes::toy::gc::heap::Heap::store",
            "forkprint::runtimes::toy::vm::operations::set_field",
            "memchr",
        ] {
            assert!(!is_mover(symbol), "{symbol}");
        }
    }
}
