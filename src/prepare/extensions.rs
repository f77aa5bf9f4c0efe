//! Extension modules that count references as `CPython` did before 3.12.
//!
//! Those built for the stable ABI keep working, but they were compiled when no object was immortal: they
//! add to and subtract from the count of every object, and so write to memory that immortal objects were
//! made to leave alone. The compiled code tells: `Py_DECREF` of old headers is a subtraction in place and
//! a conditional jump around a call of `_Py_Dealloc`; newer headers test the sign of the count first.

use crate::error::Result;
use crate::observe::ProcRoot;
use crate::observe::elf::ElfFile;
use crate::observe::maps::read_identity;
use goblin::elf::Elf;
use goblin::elf::program_header::{PF_X, PT_LOAD};
use goblin::elf::section_header::SHT_DYNSYM;
use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind, Register};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use std::collections::{BTreeSet, HashMap};
use std::ffi::c_void;
use std::fs::File;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;

/// The longest file that is looked into, in bytes.
const LONGEST_FILE: u64 = 1 << 30;
const DEALLOC: &str = "_Py_Dealloc";
/// Instructions between the load of a count, the test of its sign, and the subtraction.
const NEAR: usize = 4;
/// Instructions in front of the call, once the count is zero: the caller's registers are saved.
const BEFORE_CALL: usize = 10;

/// The loaded extension modules whose code was compiled with headers from before `CPython` 3.12.
pub fn of_old_headers() -> Result<Vec<PathBuf>> {
    let own = read_identity(&ProcRoot::system(), std::process::id())?;
    let files: BTreeSet<_> = own
        .vmas
        .iter()
        .filter(|vma| vma.is_file() && vma.flags.execute && vma.name.starts_with('/'))
        .map(|vma| PathBuf::from(&vma.name))
        .collect();
    Ok(files.into_iter().filter(|file| counts_without_a_look(file)).collect())
}

/// Whether most places of a file's code that count references down do so whatever the count.
fn counts_without_a_look(file: &Path) -> bool {
    let Some(mapped) =
        ElfFile::open_mapped(&file.to_string_lossy(), 0).filter(imports_dealloc).and(Mapped::open(file))
    else {
        return false;
    };
    let bytes = mapped.bytes();
    let Ok(elf) = Elf::parse(bytes) else { return false };
    if elf.header.e_machine != goblin::elf::header::EM_X86_64 {
        return false;
    }
    let slots = slots_of_dealloc(&elf);
    if slots.is_empty() {
        return false;
    }
    let mut code = Code { elf: &elf, bytes, slots, leads: HashMap::new() };
    let mut found = Places::default();
    for load in elf.program_headers.iter().filter(|load| load.p_type == PT_LOAD && load.p_flags & PF_X != 0) {
        code.scan(load.p_vaddr, &mut found);
    }
    found.blind > found.looking
}

/// Asked first, for few files do, and the answer stands in small tables.
fn imports_dealloc(elf: &ElfFile) -> bool {
    let mut imported = Vec::new();
    let names = elf.symbols(SHT_DYNSYM, |symbol| {
        if symbol.is_import() {
            imported.push(symbol.st_name);
        }
    });
    let is_dealloc = |names: &[u8], at: usize| {
        names.get(at..).and_then(|name| name.strip_prefix(DEALLOC.as_bytes())?.first()) == Some(&0)
    };
    names.is_some_and(|names| imported.into_iter().any(|at| is_dealloc(&names, at)))
}

/// A file in memory that goes when this goes: what was read into the heap would leave it larger.
struct Mapped {
    at: NonNull<c_void>,
    length: NonZeroUsize,
}

impl Mapped {
    fn open(file: &Path) -> Option<Self> {
        let file = File::open(file).ok()?;
        let found = file.metadata().ok().filter(|found| found.is_file() && found.len() <= LONGEST_FILE)?;
        let length = NonZeroUsize::new(usize::try_from(found.len()).ok()?)?;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let at = unsafe { mmap(None, length, ProtFlags::PROT_READ, MapFlags::MAP_PRIVATE, &file, 0) };
        Some(Self { at: at.ok()?, length })
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: mapped for as long as this lives. Its code runs in this process: were the file cut
        // short, that would end the process with or without us.
        unsafe { std::slice::from_raw_parts(self.at.as_ptr().cast(), self.length.get()) }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: the mapping of `open`, and nothing borrows from it any more.
        let _unmapped = unsafe { munmap(self.at, self.length.get()) };
    }
}

/// Where the dynamic linker puts the address of `_Py_Dealloc`, if the file imports it.
fn slots_of_dealloc(elf: &Elf<'_>) -> BTreeSet<u64> {
    let is_dealloc = |index: usize| {
        elf.dynsyms
            .get(index)
            .is_some_and(|symbol| symbol.is_import() && elf.dynstrtab.get_at(symbol.st_name) == Some(DEALLOC))
    };
    let relocations = elf.pltrelocs.iter().chain(elf.dynrelas.iter());
    relocations.filter(|entry| is_dealloc(entry.r_sym)).map(|entry| entry.r_offset).collect()
}

/// Places that count down: without a look at the count, and with one.
#[derive(Debug, Default, PartialEq, Eq)]
struct Places {
    blind: usize,
    looking: usize,
}

struct Code<'a> {
    elf: &'a Elf<'a>,
    bytes: &'a [u8],
    slots: BTreeSet<u64>,
    /// Whether code that was called leads to `_Py_Dealloc`: entries of the procedure linkage table do.
    leads: HashMap<u64, bool>,
}

impl<'a> Code<'a> {
    /// The instructions from an address of executable code on.
    fn from(&self, address: u64) -> Option<Decoder<'a>> {
        let load = self.elf.program_headers.iter().find(|load| {
            let offset = address.checked_sub(load.p_vaddr);
            load.p_type == PT_LOAD
                && load.p_flags & PF_X != 0
                && offset.is_some_and(|offset| offset < load.p_filesz)
        })?;
        let start = usize::try_from(load.p_offset.checked_add(address - load.p_vaddr)?).ok()?;
        let end = usize::try_from(load.p_offset.checked_add(load.p_filesz)?).ok()?;
        Some(Decoder::with_ip(64, self.bytes.get(start..end)?, address, DecoderOptions::NONE))
    }

    fn scan(&mut self, start: u64, found: &mut Places) {
        let Some(mut code) = self.from(start) else { return };
        let mut before = Before::default();
        let mut instruction = Instruction::default();
        while code.can_decode() {
            code.decode_out(&mut instruction);
            found.looking += usize::from(before.looks(&instruction));
            let counts = counts_down(&instruction) || before.is_lowered_by(&instruction);
            if counts && !before.looked_just_now() && self.frees_at_zero(instruction.next_ip()) {
                found.blind += 1;
            }
            before.add(&instruction);
        }
    }

    /// Whether a jump on zero stands here, and leads to a call of `_Py_Dealloc`.
    fn frees_at_zero(&mut self, address: u64) -> bool {
        let Some(code) = self.from(address) else { return false };
        let jump = code.into_iter().take(NEAR).find(|next| next.flow_control() != FlowControl::Next);
        match jump {
            Some(jump) if jump.mnemonic() == Mnemonic::Je => self.calls_dealloc(jump.near_branch_target()),
            Some(jump) if jump.mnemonic() == Mnemonic::Jne => self.calls_dealloc(jump.next_ip()),
            _ => false,
        }
    }

    fn calls_dealloc(&mut self, address: u64) -> bool {
        let Some(code) = self.from(address) else { return false };
        for instruction in code.into_iter().take(BEFORE_CALL) {
            match instruction.flow_control() {
                FlowControl::Call | FlowControl::UnconditionalBranch => {
                    return self.leads_to_dealloc(instruction.near_branch_target());
                }
                FlowControl::IndirectCall | FlowControl::IndirectBranch => return self.is_slot(&instruction),
                FlowControl::Next => {}
                _ => return false,
            }
        }
        false
    }

    fn leads_to_dealloc(&mut self, target: u64) -> bool {
        if let Some(known) = self.leads.get(&target) {
            return *known;
        }
        let jump = self.from(target).and_then(|code| {
            code.into_iter().take(3).find(|instruction| instruction.flow_control() != FlowControl::Next)
        });
        let leads = jump.is_some_and(|jump| jump.mnemonic() == Mnemonic::Jmp && self.is_slot(&jump));
        self.leads.insert(target, leads);
        leads
    }

    fn is_slot(&self, instruction: &Instruction) -> bool {
        instruction.is_ip_rel_memory_operand() && self.slots.contains(&instruction.ip_rel_memory_address())
    }
}

/// `sub qword ptr [r], 1`, `add qword ptr [r], -1` or `dec qword ptr [r]`: the count is the first word.
fn counts_down(instruction: &Instruction) -> bool {
    is_by_one(instruction) && is_first_word(instruction, 0) && instruction.memory_size().size() == 8
}

/// Whether an instruction makes something less by one.
fn is_by_one(instruction: &Instruction) -> bool {
    match instruction.mnemonic() {
        Mnemonic::Dec => true,
        Mnemonic::Sub => constant(instruction) == Some(1),
        Mnemonic::Add => constant(instruction) == Some(-1),
        _ => false,
    }
}

fn constant(instruction: &Instruction) -> Option<i64> {
    let is_constant = instruction.op_count() == 2 && instruction.try_immediate(1).is_ok();
    is_constant.then(|| instruction.immediate(1).cast_signed())
}

fn is_first_word(instruction: &Instruction, operand: u32) -> bool {
    instruction.op_count() > operand
        && instruction.op_kind(operand) == OpKind::Memory
        && instruction.memory_displacement64() == 0
        && instruction.memory_index() == Register::None
        && !matches!(instruction.memory_base(), Register::None | Register::RSP | Register::RIP)
}

/// What the last instructions did.
#[derive(Default)]
struct Before {
    now: usize,
    /// A count was loaded into a register.
    loaded: Option<(Register, usize)>,
    /// One less than it stands in a register, and belongs where that register points.
    lowered: Option<(Register, usize)>,
    base: Register,
    /// Its sign was tested.
    tested: Option<usize>,
    /// A jump depended on it.
    looked: Option<usize>,
}

impl Before {
    /// Whether this is the jump that spares immortal objects.
    fn looks(&self, instruction: &Instruction) -> bool {
        matches!(instruction.mnemonic(), Mnemonic::Js | Mnemonic::Jns) && self.is_near(self.tested)
    }

    fn looked_just_now(&self) -> bool {
        self.is_near(self.looked)
    }

    fn is_near(&self, then: Option<usize>) -> bool {
        then.is_some_and(|then| self.now - then <= NEAR)
    }

    /// Whether this stores what was loaded there, less one: compilers that optimise less do it in steps.
    fn is_lowered_by(&self, instruction: &Instruction) -> bool {
        instruction.mnemonic() == Mnemonic::Mov
            && is_first_word(instruction, 0)
            && instruction.memory_base() == self.base
            && self.lowered.is_some_and(|(register, then)| {
                instruction.op1_register() == register && self.is_near(Some(then))
            })
    }

    fn add(&mut self, instruction: &Instruction) {
        self.now += 1;
        let full = |operand| instruction.op_register(operand).full_register();
        let of_loaded = |register| {
            self.loaded.is_some_and(|(loaded, then)| loaded == register && self.now - then <= NEAR)
        };
        match instruction.mnemonic() {
            Mnemonic::Dec | Mnemonic::Sub | Mnemonic::Add
                if is_by_one(instruction) && of_loaded(instruction.op0_register()) =>
            {
                self.lowered = Some((instruction.op0_register(), self.now));
            }
            Mnemonic::Lea
                if instruction.memory_displacement64() == u64::MAX
                    && instruction.memory_index() == Register::None
                    && of_loaded(instruction.memory_base()) =>
            {
                self.lowered = Some((instruction.op0_register(), self.now));
            }
            Mnemonic::Js | Mnemonic::Jns if self.is_near(self.tested) => {
                self.looked = Some(self.now);
                self.tested = None;
            }
            Mnemonic::Mov if is_first_word(instruction, 1) => {
                self.loaded = Some((full(0), self.now));
                self.base = instruction.memory_base();
            }
            Mnemonic::Test if instruction.op1_kind() == OpKind::Register => {
                let same = full(0) == full(1) && instruction.op0_register().size() == 4;
                let counted =
                    self.loaded.filter(|(register, then)| *register == full(0) && self.now - then <= NEAR);
                self.tested = counted.filter(|_| same).map(|_| self.now);
            }
            Mnemonic::Cmp if is_first_word(instruction, 0) && instruction.memory_size().size() == 4 => {
                self.tested = Some(self.now);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    const SOURCE: &str = "
#include <Python.h>
static PyObject *kept;
static PyObject *keep(PyObject *self, PyObject *object) {
    PyObject *before = kept;
    Py_INCREF(object);
    kept = object;
    Py_XDECREF(before);
    Py_RETURN_NONE;
}
static PyObject *pair(PyObject *self, PyObject *object) {
    PyObject *list = PyList_New(0), *tuple;
    if (!list || PyList_Append(list, object) < 0) { Py_XDECREF(list); return NULL; }
    tuple = PyList_AsTuple(list);
    Py_DECREF(list);
    return tuple;
}
static PyMethodDef methods[] = {{\"keep\", keep, METH_O, 0}, {\"pair\", pair, METH_O, 0}, {0}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, \"counting\", 0, -1, methods};
PyMODINIT_FUNC PyInit_counting(void) { return PyModule_Create(&module); }
";

    /// The folder with the headers of a `CPython` on this machine.
    fn headers(version: &str) -> Option<PathBuf> {
        let home = PathBuf::from(std::env::var_os("HOME")?);
        let installed =
            std::fs::read_dir(home.join(".pyenv/versions")).ok()?.filter_map(std::result::Result::ok);
        let folder = |root: &Path| root.join(format!("include/python{version}"));
        let roots = installed.map(|entry| entry.path()).chain(["/usr".into(), "/usr/local".into()]);
        roots.map(|root| folder(&root)).find(|folder| folder.join("Python.h").exists())
    }

    fn judged(compiler: &str, version: &str, options: &[&str]) -> Option<bool> {
        let headers = headers(version)?;
        let folder = tempfile::tempdir().ok()?;
        let (source, library) = (folder.path().join("counting.c"), folder.path().join("counting.so"));
        std::fs::write(&source, SOURCE).ok()?;
        let mut command = Command::new(compiler);
        command
            .args(["-shared", "-fPIC", "-I"])
            .arg(headers)
            .args(options)
            .arg("-o")
            .arg(&library)
            .arg(source);
        let built = command.output().ok()?;
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        Some(counts_without_a_look(&library))
    }

    #[test]
    fn old_headers_are_told_from_new_ones_by_the_code_they_make() {
        const STABLE: &str = "-DPy_LIMITED_API=0x03090000";
        let mut judgements = 0;
        for compiler in ["gcc", "clang"] {
            if Command::new(compiler).arg("--version").output().is_err() {
                continue;
            }
            for level in ["-O1", "-O2", "-O3", "-Os"] {
                for (version, old) in [("3.9", true), ("3.11", true), ("3.12", false), ("3.13", false)] {
                    for options in [&[level, STABLE][..], &[level], &[level, "-fno-plt", STABLE]] {
                        let Some(judged) = judged(compiler, version, options) else { continue };
                        assert_eq!(judged, old, "{compiler} {options:?} with headers of {version}");
                        judgements += 1;
                    }
                }
            }
        }
        if judgements == 0 {
            eprintln!("skipped: neither a compiler nor headers of CPython");
        }
    }

    #[test]
    fn whoever_leaves_counting_to_python_is_not_blamed() {
        // Whoever asks for the stable ABI of 3.12 gets calls of `Py_DecRef`.
        if let Some(judged) = judged("gcc", "3.12", &["-O2", "-DPy_LIMITED_API=0x030C0000"]) {
            assert!(!judged);
        }
        assert!(!counts_without_a_look(Path::new("/proc/self/maps")));
        assert!(!counts_without_a_look(Path::new("/nonexistent")));
    }
}
