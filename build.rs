//! Builds the agent library, and tells the embedded interpreter where its library and its standard
//! library are.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    println!("cargo:rerun-if-changed=build.rs");
    if let Err(why) = build_agent() {
        println!("cargo::error=cannot build the agent library: {why}");
        return ExitCode::FAILURE;
    }
    if env::var_os("CARGO_FEATURE_EMBED").is_none() {
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
    let multiarch = format!("{}-linux-gnu", env::consts::ARCH);
    [folder.join(&file), folder.join(multiarch).join(&file)].into_iter().find(|library| library.exists())
}

/// Compiles `src/agent/library` into a shared object without the standard library. On other
/// architectures it stays empty, and workers are watched from outside.
fn build_agent() -> Result<(), String> {
    println!("cargo:rerun-if-changed=src/agent");
    println!("cargo:rerun-if-changed=src/cpython/offsets/frames.rs");
    println!("cargo:rerun-if-changed=src/prepare/heap");
    let variable = |name: &str| env::var(name).map_err(|error| format!("{name}: {error}"));
    let library = Path::new(&variable("OUT_DIR")?).join("libforkprint_agent.so");
    if variable("CARGO_CFG_TARGET_ARCH")? != "x86_64" {
        return std::fs::write(&library, "").map_err(|error| error.to_string());
    }
    let status = Command::new(variable("RUSTC")?)
        .args(["--edition", "2024", "--crate-type", "cdylib", "--crate-name", "forkprint_agent"])
        .args(["--target", &variable("TARGET")?, "-D", "warnings"])
        .args(["-C", "opt-level=2", "-C", "panic=abort", "-C", "strip=symbols"])
        // Nothing unwinds, but the core library, compiled to unwind, names the function that would.
        .args(["-C", "link-arg=-Wl,--defsym=rust_eh_personality=0"])
        .arg("-o")
        .arg(&library)
        .arg("src/agent/library/lib.rs")
        .status()
        .map_err(|error| error.to_string())?;
    if status.success() { Ok(()) } else { Err(format!("rustc ended with {status}")) }
}
