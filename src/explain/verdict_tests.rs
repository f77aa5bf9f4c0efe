use super::*;
use crate::cpython::fields::FieldClass::{Body, Cache, GcHeader, Refcount, Specialize};

const OLD: (u8, u8) = (3, 11);
const NEW: (u8, u8) = (3, 12);

/// Any address whose low bits are those of a Python object.
const AT: u64 = 0x7fff_aaaa_0010;

/// A real instruction, held against the byte at [`AT`]: `rax` is what `mov` stores, `rbx` is where.
struct Written {
    code: &'static [u8],
    rax: u64,
    rbx: u64,
    old: u64,
}

impl Written {
    fn decoded(&self) -> Decoded {
        let mut registers = [0; 16];
        (registers[0], registers[3]) = (self.rax, self.rbx);
        let mut old = [0; 16];
        old[..8].copy_from_slice(&self.old.to_le_bytes());
        Store::decode(self.code, 0x1000, AT, Some(&registers), Some(&old)).unwrap()
    }
}

fn written(code: &'static [u8], rax: u64, old: u64) -> Decoded {
    Written { code, rax, rbx: AT, old }.decoded()
}

/// The same instruction as a witness without registers and bytes sees it.
fn glimpsed(code: &[u8]) -> Decoded {
    Store::decode(code, 0x1000, AT, None, None).unwrap()
}

const ADD_8: &[u8] = &[0x48, 0x83, 0x03, 0x01]; // add qword [rbx], 1
const SUB_8: &[u8] = &[0x48, 0x83, 0x2b, 0x01]; // sub qword [rbx], 1
const ADD_4: &[u8] = &[0x83, 0x03, 0x01]; // add dword [rbx], 1
const ADD_MANY: &[u8] = &[0x48, 0x01, 0x03]; // add [rbx], rax
const ADD_2: &[u8] = &[0x66, 0x83, 0x03, 0x01]; // add word [rbx], 1
const MOV_8: &[u8] = &[0x48, 0x89, 0x03]; // mov [rbx], rax
const MOV_4: &[u8] = &[0x89, 0x03]; // mov [rbx], eax
const MOV_2: &[u8] = &[0x66, 0x89, 0x03]; // mov [rbx], ax
const MOV_1: &[u8] = &[0x88, 0x03]; // mov [rbx], al
const ONE_8: &[u8] = &[0x48, 0xc7, 0x03, 0x01, 0, 0, 0]; // mov qword [rbx], 1
const ZERO_8: &[u8] = &[0x48, 0xc7, 0x03, 0, 0, 0, 0]; // mov qword [rbx], 0
const OR_8: &[u8] = &[0x48, 0x83, 0x0b, 0x01]; // or qword [rbx], 1
const VECTOR_16: &[u8] = &[0x0f, 0x11, 0x03]; // movups [rbx], xmm0
const VECTOR_32: &[u8] = &[0xc5, 0xfe, 0x7f, 0x03]; // vmovdqu [rbx], ymm0
const PUSH: &[u8] = &[0x53]; // push rbx
const READ: &[u8] = &[0x48, 0x8b, 0x03]; // mov rax, [rbx]

const fn object(class: FieldClass) -> Place {
    Place::Object { class, into_field: 0 }
}

const fn inside(class: FieldClass, into_field: u64) -> Place {
    Place::Object { class, into_field }
}

const fn buffer(class: FieldClass) -> Place {
    Place::Buffer { class, into_field: 0 }
}

/// Place, store, writer, version, and the cause that they must give.
type Case = (Place, Decoded, &'static str, (u8, u8), Cause);

fn check(cases: &[Case]) {
    for (place, store, writer, version, cause) in cases {
        let decided = decide(*place, Some(store), writer, false, *version);
        assert_eq!(decided, *cause, "{place:?} {store:?} {writer:?} {version:?}");
    }
}

#[test]
fn reference_counts() {
    use Cause::{ObjectBody, Refcount as Count, Unexplained};
    let place = object(Refcount);
    check(&[
        (place, written(ADD_8, 0, 5), "PyList_Append", OLD, Count),
        (place, written(SUB_8, 0, 5), "_PyEval_EvalFrameDefault", OLD, Count),
        (place, written(MOV_8, 6, 5), "", OLD, Count),
        (place, written(ADD_4, 0, 5), "", NEW, Count),
        (place, written(MOV_4, 6, 5), "PyList_Append", NEW, Count),
        (place, written(MOV_8, 4, 5), "PyList_Append", NEW, Count),
        (place, written(ADD_MANY, 1000, 5), "list_repeat", NEW, Count),
        (buffer(Refcount), written(ADD_8, 0, 5), "PyDict_Copy", NEW, Count),
        (place, glimpsed(MOV_4), "", NEW, Count),
        (place, glimpsed(MOV_8), "", OLD, Count),
        // An old extension adds 64 bits to a count whose upper half it thereby carries into.
        (place, written(MOV_8, 0x1_0000_0000, 0xffff_ffff), "", NEW, Count),
        // Wrong width for the version, wrong place in the field, or no step.
        (place, written(ADD_4, 0, 5), "", OLD, Unexplained),
        (place, written(MOV_4, 6, 5), "", OLD, Unexplained),
        (place, written(ADD_2, 0, 5), "", NEW, Unexplained),
        (place, glimpsed(MOV_2), "", NEW, Unexplained),
        (inside(Refcount, 4), written(ADD_4, 0, 5), "", NEW, Unexplained),
        (place, written(MOV_8, 9, 5), "", NEW, Unexplained),
        (place, written(MOV_4, 0xffff_ffff, 5), "_Py_SetImmortal", NEW, Unexplained),
        (place, written(OR_8, 0, 5), "", NEW, Unexplained),
        (place, written(VECTOR_16, 0, 5), "", NEW, Unexplained),
        // A new object where an old one was.
        (place, written(ONE_8, 0, 7), "_PyObject_New", OLD, ObjectBody),
        (place, written(MOV_8, 1, 7), "_PyObject_New", NEW, ObjectBody),
        (place, glimpsed(ONE_8), "_PyObject_New", NEW, ObjectBody),
        (inside(Refcount, 4), written(ONE_8, 0, 7), "", NEW, Unexplained),
    ]);
}

#[test]
fn headers_of_the_collector() {
    use Cause::{GcHeader as Header, Unexplained};
    let place = object(GcHeader);
    check(&[
        (place, written(MOV_8, 0x1230, 0), "gc_collect_main", OLD, Header),
        (place, written(ZERO_8, 0, 0x1230), "PyObject_GC_UnTrack", NEW, Header),
        (place, written(OR_8, 0, 0), "update_refs", NEW, Header),
        (place, written(SUB_8, 0, 40), "subtract_refs", NEW, Header),
        (place, written(VECTOR_16, 0, 0), "PyTuple_New", NEW, Header),
        (inside(GcHeader, 4), written(ADD_4, 0, 0), "", NEW, Header),
        (place, written(MOV_4, 1, 0), "", NEW, Unexplained),
        (inside(GcHeader, 4), written(MOV_8, 1, 0), "", NEW, Unexplained),
        (place, written(VECTOR_32, 0, 0), "", NEW, Unexplained),
    ]);
}

#[test]
fn caches_and_specialisation() {
    use Cause::{LazyCache, Specialize as Special, Unexplained};
    check(&[
        (object(Cache), written(MOV_8, 0x5eed, u64::MAX), "unicode_hash", NEW, LazyCache),
        (object(Cache), written(MOV_4, 3, 0), "assign_version_tag", NEW, LazyCache),
        (inside(Cache, 8), written(MOV_1, 1, 0), "", NEW, LazyCache),
        (object(Cache), written(VECTOR_16, 0, 0), "unicode_fill_utf8", NEW, LazyCache),
        (object(Cache), written(VECTOR_32, 0, 0), "memset", NEW, Unexplained),
        (object(Specialize), written(MOV_2, 3, 0), "_Py_Specialize_LoadAttr", NEW, Special),
        (inside(Specialize, 6), written(MOV_1, 3, 0), "", OLD, Special),
        (inside(Specialize, 2), written(VECTOR_32, 0, 0), "_PyCode_Quicken", OLD, Special),
        (object(Specialize), glimpsed(&[0xf3, 0xa4]), "_PyCode_Quicken", OLD, Special),
    ]);
}

#[test]
fn the_allocator() {
    use Cause::{Allocator, NativeData, ObjectBody, Unexplained};
    check(&[
        (Place::PoolHeader, written(ADD_4, 0, 1), "_PyObject_Malloc", NEW, Allocator),
        (Place::FreeBlock { offset: 0 }, written(MOV_8, 0x10, 0), "_PyObject_Free", OLD, Allocator),
        (Place::FreeBlock { offset: 16 }, written(ONE_8, 0, 0), "_PyObject_GC_New", NEW, Allocator),
        (Place::UnknownBlock, written(MOV_8, 9, 0), "_int_free.isra.0", NEW, Allocator),
        (Place::UnknownBlock, written(MOV_8, 9, 0), "PyFloat_FromDouble", NEW, Allocator),
        (Place::NativeHeap, written(MOV_8, 9, 0), "PyFloat_FromDouble", NEW, NativeData),
        (Place::UnknownBlock, written(MOV_8, 9, 0), "sqlite3VdbeExec", NEW, Unexplained),
        (Place::NativeHeap, written(MOV_8, 9, 0), "malloc@@GLIBC_2.2.5", NEW, Allocator),
        (Place::NativeHeap, written(MOV_8, 9, 0), "free…realloc", NEW, Allocator),
        (Place::NativeHeap, written(MOV_8, 9, 0), "free…qsort", NEW, NativeData),
        (Place::NativeHeap, written(VECTOR_16, 9, 0), "tcache_put", NEW, Allocator),
        (Place::NativeHeap, written(MOV_8, 9, 0), "sqlite3VdbeExec", NEW, NativeData),
        (Place::NativeHeap, written(MOV_8, 9, 0), "", NEW, NativeData),
        // The link that frees a list's items stands where the first item was.
        (buffer(Body), written(MOV_8, 9, 0), "_PyObject_Free", NEW, Allocator),
        (object(Refcount), written(MOV_8, 0x7f00_1230, 5), "_PyObject_Free", NEW, Allocator),
        (object(Refcount), written(SUB_8, 0, 5), "_PyObject_Free", OLD, Cause::Refcount),
        (buffer(Body), written(MOV_8, 9, 0), "free_keys_object", NEW, ObjectBody),
        (buffer(Body), written(MOV_8, 9, 0), "freeze_list", NEW, ObjectBody),
    ]);
}

#[test]
fn real_stores_and_memory_with_one_use() {
    let store = written(MOV_8, 9, 0);
    let push = Written { code: PUSH, rax: 0, rbx: 0, old: 0 }.decoded();
    assert_eq!(push.covers, Some(false), "this stack is elsewhere");
    check(&[
        (object(Body), store, "PyMember_SetOne", NEW, Cause::ObjectBody),
        (buffer(Body), written(VECTOR_32, 0, 0), "", NEW, Cause::ObjectBody),
        (Place::InterpreterData, written(ADD_8, 0, 0), "", OLD, Cause::Interpreter),
        (Place::LibraryData, store, "", NEW, Cause::NativeData),
        (Place::Stack, glimpsed(PUSH), "", NEW, Cause::Stack),
        (Place::JitCode, store, "", NEW, Cause::JitCode),
        (Place::JitData, store, "", NEW, Cause::JitData),
        (Place::Marks, written(OR_8, 0, 0), "", NEW, Cause::GcMark),
        (Place::Counts, store, "", (0, 0), Cause::Refcount),
        (Place::MoveTarget, store, "", NEW, Cause::GcMove),
        (Place::Movable, store, "", (0, 0), Cause::ObjectBody),
        (Place::Movable, store, "forkprint::runtimes::toy::gc::slide::Slide::slide", (0, 0), Cause::GcMove),
        (Place::Unknown, store, "", NEW, Cause::Unexplained),
        (Place::Stack, push, "", NEW, Cause::Unexplained),
    ]);
}

const EVERY_PLACE: [Place; 21] = [
    object(Refcount),
    object(GcHeader),
    object(Cache),
    object(Specialize),
    object(Body),
    buffer(Refcount),
    buffer(Body),
    Place::PoolHeader,
    Place::FreeBlock { offset: 0 },
    Place::UnknownBlock,
    Place::NativeHeap,
    Place::InterpreterData,
    Place::LibraryData,
    Place::Stack,
    Place::JitCode,
    Place::JitData,
    Place::Marks,
    Place::Counts,
    Place::Movable,
    Place::MoveTarget,
    Place::Unknown,
];

#[test]
fn a_store_that_does_not_write_the_byte_explains_nothing() {
    let elsewhere = Written { code: MOV_8, rax: 6, rbx: AT + 8, old: 5 }.decoded();
    for place in EVERY_PLACE {
        for store in [written(READ, 0, 0), elsewhere] {
            let decided = decide(place, Some(&store), "malloc", false, NEW);
            assert_eq!(decided, Cause::Unexplained, "{place:?} {store:?}");
        }
    }
}

#[test]
fn the_kernel_is_its_own_witness() {
    for place in EVERY_PLACE {
        assert_eq!(decide(place, None, "", true, NEW), Cause::KernelWrite);
    }
}

#[test]
fn without_a_store_only_memory_with_one_use_explains_itself() {
    for place in EVERY_PLACE {
        let alone = match place {
            Place::InterpreterData => Cause::Interpreter,
            Place::LibraryData => Cause::NativeData,
            Place::Stack => Cause::Stack,
            Place::JitCode => Cause::JitCode,
            Place::JitData => Cause::JitData,
            Place::Marks => Cause::GcMark,
            Place::Counts => Cause::Refcount,
            Place::MoveTarget => Cause::GcMove,
            _ => Cause::Unexplained,
        };
        assert_eq!(decide(place, None, "malloc", false, NEW), alone, "{place:?}");
    }
}
