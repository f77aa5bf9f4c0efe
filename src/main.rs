//! The `forkprint` program.

use std::ffi::OsString;

fn main() {
    let myself = std::env::current_exe().map_or_else(|_| "/proc/self/exe".into(), OsString::from);
    let arguments = std::env::args_os().skip(1).collect();
    std::process::exit(forkprint::cli::main(arguments, vec![myself]));
}
