//! The version tables, against the headers of each interpreter and against what 3.13 publishes.

use crate::interpreters::{Target, every_interpreter};
use crate::skip::skip;
use forkprint::cpython::offsets::{Offsets, debug};
use forkprint::kernel::remote::SharedMemory;
use goblin::elf::Elf;
use std::path::Path;
use std::process::Command;

/// Tells where the headers are.
const SCRIPT: &str = "import json, sys, sysconfig
print(json.dumps(sysconfig.get_path('include')), flush=True)
sys.stdin.read()";

/// The table without its first lines, spaces and trailing commas, which `rustfmt` moves about.
fn essence(table: &str) -> String {
    let lines = table.lines().skip_while(|line| !line.contains("const STRUCTS"));
    let text: String = lines.flat_map(str::chars).filter(|c| !c.is_whitespace()).collect();
    text.replace(",]", "]").replace(",}", "}")
}

fn generate(include: &Path, folder: &Path) -> Option<String> {
    let program = folder.join("generate");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cpython/offsets/generate.c");
    let compiled = Command::new("cc")
        .arg("-w")
        .arg("-I")
        .arg(include)
        .arg("-I")
        .arg(include.join("internal"))
        .args([source.as_os_str(), "-o".as_ref(), program.as_os_str()])
        .status();
    if !compiled.is_ok_and(|status| status.success()) {
        return None;
    }
    Some(String::from_utf8(Command::new(program).output().unwrap().stdout).unwrap())
}

#[test]
fn the_tables_are_those_of_the_headers() {
    for target in every_interpreter(SCRIPT) {
        let include = Path::new(target.told.as_str().unwrap());
        if !include.join("internal/pycore_gc.h").exists() {
            skip(format!("{}: no headers in {}", target.name, include.display()));
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        let Some(generated) = generate(include, folder.path()) else {
            skip(format!("{}: generate.c was not compiled", target.name));
            continue;
        };
        let (major, minor) = target.offsets.version;
        let table =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/cpython/offsets/v{major}_{minor}.rs"));
        assert_eq!(essence(&generated), essence(&std::fs::read_to_string(table).unwrap()), "{}", target.name);
        for number in frame_numbers(&target.offsets) {
            assert!(generated.contains(&number), "{}: {number}", target.name);
        }
    }
}

/// The layout of frames, in the words of `generate.c`.
fn frame_numbers(offsets: &Offsets) -> Vec<String> {
    let frames = &offsets.frames;
    let mut numbers = vec![
        format!("code {}, ", frames.code),
        format!("instruction {} of {} bytes, ", frames.instruction, frames.instruction_size),
        format!("previous {}, ", frames.previous),
        format!("first_frame {}", frames.first_frame),
    ];
    if offsets.at_least(11) {
        numbers.push(format!("owner {}, ", frames.owner));
    }
    if offsets.at_least(11) && !offsets.at_least(13) {
        numbers.push(format!("of_cframe {}.", frames.of_cframe));
    }
    numbers
}

/// Where `_PyRuntime` is: in the first mapped file that exports it.
fn runtime_address(target: &Target) -> Option<u64> {
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", target.pid())).unwrap();
    maps.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let (range, offset, path) = (words.next()?, words.nth(1)?, words.nth(2)?);
        if u64::from_str_radix(offset, 16).ok()? != 0 || !path.contains("python") {
            return None;
        }
        let bytes = std::fs::read(path).ok()?;
        let elf = Elf::parse(&bytes).ok()?;
        let symbol = elf.dynsyms.iter().find(|s| elf.dynstrtab.get_at(s.st_name) == Some("_PyRuntime"))?;
        let start = u64::from_str_radix(range.split('-').next()?, 16).ok()?;
        (symbol.st_value != 0).then_some(if elf.is_lib { start + symbol.st_value } else { symbol.st_value })
    })
}

#[test]
fn what_3_13_publishes_is_what_its_headers_say() {
    for target in every_interpreter(SCRIPT).filter(|target| target.offsets.at_least(13)) {
        let runtime = runtime_address(&target).unwrap();
        assert_eq!(Offsets::read(&target.memory, runtime).unwrap(), target.offsets, "{}", target.name);
        refuses_other_builds(&target.memory, runtime);
    }
}

fn refuses_other_builds(memory: &SharedMemory, runtime: u64) {
    let mut bytes = vec![0; debug::BYTES];
    memory.read_bytes(runtime, &mut bytes).unwrap();
    let error_with = |at: usize, byte: u8| {
        let mut changed = bytes.clone();
        changed[at] = byte;
        Offsets::parse_debug(&changed).unwrap_err().to_string()
    };
    assert!(error_with(16, 1).contains("free-threaded"));
    assert!(error_with(0, b'y').contains("xdebugpy"));
    assert!(error_with(8 + 2, 99).contains("CPython 3.99"));
    assert!(error_with(44 * 8, 24).contains("contradict"));
    assert!(Offsets::parse_debug(&bytes[..100]).is_err());
}
