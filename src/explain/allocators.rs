//! Which functions are an allocator's: their stores keep its books, whatever stood there before.

/// Functions whose names share a beginning: glibc's, pymalloc's, mimalloc's, jemalloc's, tcmalloc's.
#[rustfmt::skip]
const FAMILIES: &[&str] = &[
    "_int_malloc", "_int_free", "_int_realloc", "_int_memalign", "_mid_memalign", "tcache_", "ptmalloc_",
    "malloc_", "__malloc_", "pymalloc_", "_mi_", "mi_malloc", "mi_free", "mi_heap_", "mi_page_", "mi_segment_",
    "je_", "tc_malloc", "tc_free", "tcmalloc::",
];

/// The other functions of glibc's `malloc/malloc.c` and `malloc/arena.c`, and of `CPython`'s
/// `Objects/obmalloc.c`, 3.9 to 3.13.
#[rustfmt::skip]
const FUNCTIONS: &[&str] = &[
    "malloc", "free", "calloc", "realloc", "reallocarray", "memalign", "aligned_alloc", "posix_memalign",
    "valloc", "pvalloc", "cfree", "mallinfo", "mallinfo2", "mallopt",
    "__malloc", "__free", "__calloc", "__realloc", "__memalign", "__libc_malloc", "__libc_free",
    "__libc_calloc", "__libc_realloc", "__libc_memalign", "__libc_valloc", "__libc_pvalloc",
    "__libc_mallinfo", "__libc_mallopt", "__default_morecore", "__glibc_morecore",
    "sysmalloc", "sysmalloc_mmap", "systrim", "mtrim", "unlink_chunk", "munmap_chunk", "mremap_chunk",
    "arena_get2", "arena_get_retry", "get_free_list", "grow_heap", "shrink_heap", "heap_trim", "new_heap",
    "alloc_new_heap",
    "new_arena", "allocate_from_new_pool", "insert_to_usedpool", "insert_to_freepool", "arena_map_mark_used",
    "_PyObject_Malloc", "_PyObject_Calloc", "_PyObject_Realloc", "_PyObject_Free", "_PyMem_RawMalloc",
    "_PyMem_RawCalloc", "_PyMem_RawRealloc", "_PyMem_RawFree", "PyObject_Malloc", "PyObject_Calloc",
    "PyObject_Realloc", "PyObject_Free", "PyMem_Malloc", "PyMem_Calloc", "PyMem_Realloc", "PyMem_Free",
    "PyMem_RawMalloc", "PyMem_RawCalloc", "PyMem_RawRealloc", "PyMem_RawFree",
];

/// Functions of `CPython` that make an object in a block that its type's free list kept: pymalloc calls
/// it used, yet no object lives there (`Objects/*.c`, 3.9 to 3.13; `_PyObject_New` and its like).
#[rustfmt::skip]
const MAKERS: &[&str] = &[
    "PyFloat_FromDouble", "new_keys_object", "insert_to_emptydict", "new_dict", "PyDict_New", "PyList_New",
    "PyTuple_New", "tuple_alloc", "_PyTuple_FromArray", "_PyTuple_FromArraySteal", "_Py_NewReference",
    "_PyObject_New", "_PyObject_GC_New", "_PyObject_GC_NewVar", "PyObject_Init", "PyObject_InitVar",
    "PySlice_New", "_PyBuildSlice_ConsumeRefs", "PyMethod_New", "PyCMethod_New", "_PyFrame_New_NoTrack",
    "gen_new_with_qualname", "make_gen", "PyContext_New", "_PyAsyncGenValueWrapperNew",
];

/// Whether a function makes objects in blocks that free lists kept.
pub fn is_maker(symbol: &str) -> bool {
    MAKERS.contains(&symbol.split(['.', '@']).next().unwrap_or_default())
}

/// Stands between the names of two functions of which one ends before the code and the other
/// begins behind it.
pub const BETWEEN: char = '…';

/// Whether a function is one of an allocator.
///
/// Compilers split functions (`_int_free.isra.0`, `_PyObject_Free.cold`), and linkers add versions
/// (`malloc@GLIBC_2.2.5`). Code [`BETWEEN`] two of them is theirs too.
pub fn is_allocator(symbol: &str) -> bool {
    symbol.split(BETWEEN).all(|name| {
        let function = name.split(['.', '@']).next().unwrap_or_default();
        FUNCTIONS.contains(&function) || FAMILIES.iter().any(|family| function.starts_with(family))
    })
}

/// Names a function that a stripped library hides between two exported ones, if an allocator's.
///
/// `_int_malloc` and `_int_free` have no name in a stripped libc. But a linker keeps the functions
/// of one source file together, so what stands between two exported functions of malloc's is
/// malloc's. Those in front of the first exported one (`malloc_consolidate`) stay unnamed.
pub fn hidden_allocator(before: &str, behind: &str) -> Option<String> {
    (is_allocator(before) && is_allocator(behind)).then(|| format!("{before}{BETWEEN}{behind}"))
}
