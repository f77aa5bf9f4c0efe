use super::*;
use crate::explain::allocators::is_allocator;
use crate::family::VmaFlags;
use crate::observe::{ProcRoot, read_process};
use crate::units::{PAGE_SIZE, Vpn};
use proptest::prelude::*;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicU64;
use std::{env, fs};

/// Where the tests pretend that a library is loaded.
const BASE: u64 = 0x7f12_3456_7000;

static A_KNOWN_STATIC: AtomicU64 = AtomicU64::new(0x1234);

#[inline(never)]
fn a_known_function(value: u64) -> u64 {
    std::hint::black_box(value) + 1
}

/// A `libpython` of this machine with symbols, if there is one.
pub fn libpython() -> Option<PathBuf> {
    let versions = fs::read_dir(PathBuf::from(env::var_os("HOME")?).join(".pyenv/versions")).ok()?;
    let mut libraries: Vec<PathBuf> = versions
        .flatten()
        .flat_map(|version| fs::read_dir(version.path().join("lib")).into_iter().flatten().flatten())
        .map(|entry| entry.path())
        .filter(|path| {
            path.to_string_lossy().ends_with(".so.1.0") && path.to_string_lossy().contains("libpython3")
        })
        .collect();
    libraries.sort();
    libraries.pop()
}

fn output(program: &str, arguments: &[&str], path: &Path) -> Option<String> {
    let output = Command::new(program).args(arguments).arg(path).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn number(text: &str) -> Option<u64> {
    u64::from_str_radix(text.trim().trim_start_matches("0x"), 16).ok()
}

fn area(start: u64, end: u64, offset: u64, inode: u64, name: &str) -> Vma {
    let flags = VmaFlags { read: true, write: true, execute: false, private: true };
    let (start, end) = (Vpn::of_address(start), Vpn::of_address(end.next_multiple_of(PAGE_SIZE)));
    Vma { start, end, flags, offset: offset - offset % PAGE_SIZE, inode, name: name.to_owned() }
}

/// The areas that the dynamic loader makes for a file, as `readelf` lists its segments.
fn loaded(path: &Path) -> Option<Vec<Vma>> {
    let inode = fs::metadata(path).ok()?.ino();
    let name = path.to_str()?;
    let mut areas = Vec::new();
    for line in output("readelf", &["-lW"], path)?.lines() {
        let Some(fields) = line.trim().strip_prefix("LOAD ") else { continue };
        let fields: Vec<u64> = fields.split_whitespace().filter_map(number).collect();
        let (offset, address, in_file, in_memory) = (fields[0], fields[1], fields[3], fields[4]);
        let end = (address + in_file).next_multiple_of(PAGE_SIZE);
        areas.push(area(BASE + address, BASE + end, offset, inode, name));
        if address + in_memory > end {
            areas.push(area(BASE + end, BASE + address + in_memory, 0, 0, ""));
        }
    }
    Some(areas)
}

/// Size, section and names of what stands at an address.
type Listed = (u64, String, Vec<String>);

/// Every function and object that `nm` lists, by address.
fn listed(path: &Path, dynamic: bool) -> Option<HashMap<u64, Listed>> {
    let arguments: &[&str] = if dynamic { &["-D", "-f", "sysv"] } else { &["-f", "sysv"] };
    let mut symbols: HashMap<u64, Listed> = HashMap::new();
    for line in output("nm", arguments, path)?.lines() {
        let fields: Vec<&str> = line.split('|').map(str::trim).collect();
        let [name, value, _, "FUNC" | "OBJECT", size, _, section] = fields[..] else { continue };
        let (Some(value), Some(size)) = (number(value), number(size)) else { continue };
        if size > 0 && section.starts_with('.') {
            let entry = symbols.entry(value).or_insert((size, section.to_owned(), Vec::new()));
            entry.2.push(name.split('@').next().unwrap_or_default().to_owned());
        }
    }
    Some(symbols)
}

#[test]
fn names_what_nm_names_in_a_libpython() {
    let Some((path, areas)) = libpython().and_then(|path| Some((path.clone(), loaded(&path)?))) else {
        eprintln!("skipped: no libpython or no binutils");
        return;
    };
    let file = path.file_name().unwrap().to_str().unwrap();
    let symbolizer = Symbolizer::new(&areas);
    let symbols = listed(&path, false).unwrap();
    assert!(symbols.len() > 5_000, "nm lists the symbols of a libpython");
    for (address, (size, section, names)) in &symbols {
        for offset in [0, size / 2] {
            let found = symbolizer.at(BASE + address + offset);
            assert_eq!((found.library.as_str(), &found.section), (file, section), "{names:?}");
            let inner = symbols.contains_key(&(address + offset - found.offset));
            assert!(inner, "{names:?}+{offset} is {found:?}");
            assert!(offset > 0 || names.contains(&found.name), "{names:?} is not {found:?}");
        }
    }
    let runtime =
        symbols.iter().find(|(_, symbol)| symbol.2.iter().any(|name| name == "_PyRuntime")).unwrap();
    let found = symbolizer.at(BASE + runtime.0 + 0x18);
    assert_eq!((found.name.as_str(), found.offset), ("_PyRuntime", 0x18));
}

#[test]
fn a_stripped_library_still_names_what_it_exports() {
    let folder = tempfile::tempdir().unwrap();
    let stripped = folder.path().join("libpython.so");
    let made = libpython().filter(|path| {
        Command::new("strip").args(["-s", "-o"]).arg(&stripped).arg(path).status().is_ok_and(|s| s.success())
    });
    let Some(areas) = made.and_then(|_| loaded(&stripped)) else {
        eprintln!("skipped: no libpython or no binutils");
        return;
    };
    let symbolizer = Symbolizer::new(&areas);
    let exported = listed(&stripped, true).unwrap();
    assert!(exported.len() > 1_000, "nm lists what a libpython exports");
    for (address, (_, section, names)) in &exported {
        let found = symbolizer.at(BASE + address);
        assert_eq!(&found.section, section, "{names:?}");
        assert!(names.contains(&found.name), "{names:?} is not {found:?}");
    }
}

/// The oracle is the debug package of this machine's libc, which names the functions that the
/// library itself does not.
#[test]
fn finds_the_hidden_functions_of_malloc_in_a_stripped_libc() {
    let own = read_process(&ProcRoot::system(), std::process::id()).unwrap();
    let libc = own.vmas.iter().find(|vma| vma.name.contains("/libc.so"));
    let elf = libc.and_then(|vma| ElfFile::open_mapped(&vma.name, vma.inode));
    let Some((elf, debug)) = elf.and_then(|elf| elf.open_debug_file().map(|debug| (elf, debug))) else {
        eprintln!("skipped: no debug symbols of libc");
        return;
    };
    let (stripped, full) = (SymbolTable::exported(&elf), SymbolTable::read(&debug));
    let stripped = Image { elf, symbols: stripped };
    let text = stripped.elf.sections().iter().find(|section| section.name == ".text").unwrap();
    let mut found = 0;
    for address in (text.start..text.end).step_by(16) {
        let (Some((truth, _)), None) = (full.at(address), stripped.symbols.at(address)) else { continue };
        let named = is_allocator(&stripped.symbol(address).0);
        assert!(!named || is_allocator(truth), "{truth} is not an allocator's");
        found += usize::from(named);
    }
    assert!(found > 100, "_int_malloc alone has thousands of bytes: {found}");
}

#[test]
fn names_the_functions_and_data_of_our_own_process() {
    let own = read_process(&ProcRoot::system(), std::process::id()).unwrap();
    let symbolizer = Symbolizer::new(&own.vmas);
    let program = env::current_exe().unwrap().file_name().unwrap().to_string_lossy().into_owned();

    let function = symbolizer.at(a_known_function as *const () as u64 + 1);
    assert_eq!((function.library.as_str(), function.section.as_str()), (program.as_str(), ".text"));
    assert!(function.name.ends_with("explain::symbols::tests::a_known_function"), "{function:?}");
    assert_eq!(function.offset, 1);

    let data = symbolizer.at(&raw const A_KNOWN_STATIC as u64 + 4);
    assert_eq!(data.section, ".data");
    assert!(data.name.ends_with("explain::symbols::tests::A_KNOWN_STATIC"), "{data:?}");
    assert_eq!(data.offset, 4);

    let libc = symbolizer.at(libc::malloc as *const () as u64);
    assert!(libc.library.starts_with("libc.") || libc.library == program, "{libc:?}");
    assert!(libc.name.ends_with("malloc"), "{libc:?}");

    let local = 7u64;
    assert!(symbolizer.at(&raw const local as u64).name.is_empty(), "a stack has no symbols");
    assert_eq!(symbolizer.at(0x10), Symbol::default(), "nothing is mapped there");
}

#[test]
fn memory_without_a_file_has_the_name_the_kernel_gives_it() {
    let areas = [
        area(0x1000, 0x3000, 0, 0, "[heap]"),
        area(0x5000, 0x6000, 0, 0, ""),
        area(0x7000, 0x8000, 0, 0, "[stack]"),
        area(0x9000, 0xa000, 0, 7, "/no/such/libgone.so (deleted)"),
        area(0xa000, 0xb000, 0, 0, ""),
    ];
    let symbolizer = Symbolizer::new(&areas);
    let library = |address| symbolizer.at(address).library;
    assert_eq!(library(0x1000), "[heap]");
    assert_eq!(library(0x2fff), "[heap]");
    assert_eq!(library(0x3000), "");
    assert_eq!(library(0x5008), "");
    assert_eq!(library(0x7008), "[stack]");
    assert_eq!(library(0x9008), "libgone.so");
    assert_eq!(library(0xa008), "", "what follows a file that cannot be read may be anybody's");
}

/// An upgrade puts a new file at the path of one that still runs: its symbols would be wrong.
#[test]
fn a_file_that_took_the_path_of_a_deleted_one_gives_no_symbols() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("program");
    fs::copy("/proc/self/exe", &path).unwrap();
    let inode = fs::metadata(&path).unwrap().ino();
    let mapped = format!("{}{DELETED}", path.display());
    let section =
        |inode| Symbolizer::new(&[area(BASE, BASE + 0x1000, 0, inode, &mapped)]).at(BASE + 0x300).section;
    assert_ne!(section(inode), "", "the same file by another name");
    assert_eq!(section(inode + 1), "");
}

#[test]
fn a_damaged_file_gives_weaker_answers() {
    let whole = fs::read("/proc/self/exe").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("program");
    let ask = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let inode = fs::metadata(&path).unwrap().ino();
        Symbolizer::new(&[area(BASE, BASE + 0x1000, 0, inode, path.to_str().unwrap())]).at(BASE + 0x300)
    };
    assert_ne!(ask(&whole).section, "");
    for length in [0, 3, 63, 64, 100, 700, 5000, whole.len() / 2, whole.len() - 1] {
        assert_eq!(ask(&whole[..length]).library, "program");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    /// The headers of a real program, with some bytes changed: no table is where it says.
    #[test]
    fn a_hostile_file_never_panics(changes in prop::collection::vec((0usize..0x400, any::<u8>()), 0..12), at: u64) {
        let mut bytes = small_program();
        for (place, byte) in changes {
            if let Some(target) = bytes.get_mut(place) {
                *target = byte;
            }
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), &bytes).unwrap();
        let inode = fs::metadata(file.path()).unwrap().ino();
        let areas = [area(BASE, BASE + 0x1000, 0, inode, file.path().to_str().unwrap()), area(BASE + 0x1000, BASE + 0x9000, 0, 0, "")];
        let symbolizer = Symbolizer::new(&areas);
        for address in [at, BASE, BASE + 0x300, BASE + 0x1010, BASE + 0x8fff] {
            symbolizer.at(address);
        }
    }
}

/// A minimal program with one segment, three sections and one symbol, laid out by hand (ELF-64
/// object file format, version 1.5): header, program header, section headers, symbols, names.
fn small_program() -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let half =
        |bytes: &mut Vec<u8>, values: &[u16]| values.iter().for_each(|v| bytes.extend(v.to_le_bytes()));
    let word =
        |bytes: &mut Vec<u8>, values: &[u32]| values.iter().for_each(|v| bytes.extend(v.to_le_bytes()));
    let long =
        |bytes: &mut Vec<u8>, values: &[u64]| values.iter().for_each(|v| bytes.extend(v.to_le_bytes()));
    half(&mut bytes, &[3, 62]);
    word(&mut bytes, &[1]);
    long(&mut bytes, &[0, 0x40, 0x78]);
    word(&mut bytes, &[0]);
    half(&mut bytes, &[64, 56, 1, 64, 4, 3]);
    word(&mut bytes, &[1, 7]);
    long(&mut bytes, &[0, 0, 0, 0x400, 0x9000, 0x1000]);
    let sections: [(u32, u32, u64, u64, u64, u64, u32); 4] = [
        (0, 0, 0, 0, 0, 0, 0),
        (1, 8, 3, 0x1000, 0x400, 0x100, 0),
        (6, 2, 0, 0, 0x178, 0x30, 3),
        (14, 3, 0, 0, 0x1a8, 0x20, 0),
    ];
    for (name, kind, flags, address, offset, size, link) in sections {
        word(&mut bytes, &[name, kind]);
        long(&mut bytes, &[flags, address, offset, size]);
        word(&mut bytes, &[link, 0]);
        long(&mut bytes, &[8, 24]);
    }
    bytes.extend([0; 24]);
    word(&mut bytes, &[24]);
    bytes.extend([0x11, 0, 1, 0]);
    long(&mut bytes, &[0x1010, 8]);
    bytes.extend(b"\0.bss\0.symtab\0.strtab\0\0\0count\0\0\0");
    bytes.resize(0x400, 0);
    bytes
}

#[test]
fn memory_behind_a_file_belongs_to_it_as_far_as_its_segments_reach() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), small_program()).unwrap();
    let inode = fs::metadata(file.path()).unwrap().ino();
    let path = file.path().to_str().unwrap();
    let symbolizer = Symbolizer::new(&[
        area(BASE, BASE + 0x1000, 0, inode, path),
        area(BASE + 0x1000, BASE + 0xc000, 0, 0, ""),
    ]);
    let library = shown(path).to_owned();
    let (section, name) = (".bss".to_owned(), "count".to_owned());
    assert_eq!(
        symbolizer.at(BASE + 0x1014),
        Symbol { library: library.clone(), section: section.clone(), name, offset: 4 }
    );
    assert_eq!(
        symbolizer.at(BASE + 0x1018),
        Symbol { library: library.clone(), section, ..Symbol::default() }
    );
    assert_eq!(symbolizer.at(BASE + 0x8fff), Symbol { library, ..Symbol::default() });
    assert_eq!(symbolizer.at(BASE + 0x9000), Symbol::default(), "somebody else's");
}
