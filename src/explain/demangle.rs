//! Names of functions as their authors wrote them.

use std::fmt::{self, Write};

/// The longest name that is shown; what a hostile symbol unfolds to ends here.
const LONGEST: usize = 1024;

/// A symbol as its author wrote it: Rust (without its hash) and C++; any other stays as it is.
pub fn demangle(symbol: &str) -> String {
    rust(symbol).or_else(|| cpp(symbol)).unwrap_or_else(|| symbol.chars().take(LONGEST).collect())
}

fn rust(symbol: &str) -> Option<String> {
    let mut short = Bounded::default();
    let name = rustc_demangle::try_demangle(symbol).ok()?;
    write!(short, "{name:#}").ok().map(|()| short.0)
}

fn cpp(symbol: &str) -> Option<String> {
    if !symbol.starts_with("_Z") {
        return None;
    }
    let mut short = Bounded::default();
    let parsed = cpp_demangle::Symbol::new(symbol).ok()?;
    parsed.structured_demangle(&mut short, &cpp_demangle::DemangleOptions::default()).ok().map(|()| short.0)
}

/// Text that refuses to grow beyond [`LONGEST`].
#[derive(Default)]
struct Bounded(String);

impl Write for Bounded {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        if self.0.len() + part.len() > LONGEST {
            return Err(fmt::Error);
        }
        self.0.push_str(part);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What `rustfilt` and `c++filt` print for them.
    #[test]
    fn names_are_shown_as_their_authors_wrote_them() {
        for (symbol, name) in [
            ("_ZN4core3fmt9Formatter3pad17h0123456789abcdefE", "core::fmt::Formatter::pad"),
            ("_RNvNtCs1234_7mycrate3foo3bar", "mycrate::foo::bar"),
            ("_ZN5space3fooEibc", "space::foo(int, bool, char)"),
            ("_ZNSt6vectorIiSaIiEE9push_backEOi", "std::vector<int, std::allocator<int> >::push_back(int&&)"),
            ("PyList_Append", "PyList_Append"),
            ("_PyEval_EvalFrameDefault.cold", "_PyEval_EvalFrameDefault.cold"),
            ("_Zwhatever", "_Zwhatever"),
            ("", ""),
        ] {
            assert_eq!(demangle(symbol), name);
        }
    }

    #[test]
    fn a_name_that_unfolds_without_end_is_cut() {
        let bomb =
            format!("_Z3fooI{}E", (0..40).fold("1x".to_owned(), |inner, _| format!("1tI{inner}S_S_E")));
        assert!(demangle(&bomb).len() <= LONGEST * 4);
        assert!(demangle(&"é".repeat(5000)).chars().count() <= LONGEST);
    }

    proptest! {
        #[test]
        fn no_name_makes_it_panic(tail: String, mangled in "_(Z|R|ZN)[A-Z0-9a-z_]{0,60}") {
            demangle(&tail);
            demangle(&mangled);
        }
    }
}
