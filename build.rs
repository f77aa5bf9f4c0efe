//! Tells the embedded interpreter where its library and its standard library are.

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_FEATURE_EMBED").is_none() {
        return ExitCode::SUCCESS;
    }
    let python = pyo3_build_config::get();
    let executable = python.executable().unwrap_or_default();
    println!("cargo:rustc-env=FORKPRINT_PYTHON={executable}");

    let Some(library) = shared_library(python) else {
        println!(
            "cargo::error=forkprint's binary links libpython, and {executable} (CPython {}) has no shared one; \
             install it (`apt install libpython3-dev`, or `uv python install 3.12`), or name a Python that has it: \
             PYO3_PYTHON=/path/to/python3 cargo build",
            python.version()
        );
        return ExitCode::FAILURE;
    };
    if let Some(folder) = library.parent() {
        println!("cargo:rustc-link-search=native={}", folder.display());
        println!("cargo:rustc-link-arg=-Wl,-rpath,{}", folder.display());
    }
    ExitCode::SUCCESS
}

/// The `libpythonX.Y.so` that the linker will be asked for, where it exists.
fn shared_library(python: &pyo3_build_config::InterpreterConfig) -> Option<PathBuf> {
    let file = format!("lib{}.so", python.lib_name()?);
    let folder = PathBuf::from(python.lib_dir()?);
    let multiarch = format!("{}-linux-gnu", std::env::consts::ARCH);
    [folder.join(&file), folder.join(multiarch).join(&file)].into_iter().find(|library| library.exists())
}
