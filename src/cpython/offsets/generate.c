/*
 * Prints the version table of one CPython as Rust, from that version's own headers:
 *
 *     P=$(python3.12 -c 'import sysconfig; print(sysconfig.get_path("include"))')
 *     cc -w -I$P -I$P/internal generate.c -o generate && ./generate | rustfmt > v3_12.rs
 *
 * x86-64, default builds (with the GIL, without Py_DEBUG).
 */
#include <stddef.h>
#include <stdio.h>

#define PY_SSIZE_T_CLEAN
#define Py_BUILD_CORE
#include <Python.h>
#include <structmember.h>
#include <frameobject.h>
#define AT_LEAST(minor) (PY_VERSION_HEX >= 0x03000000 + ((minor) << 16))

#if AT_LEAST(11)
#include <internal/pycore_code.h>
#include <internal/pycore_dict.h>
#include <internal/pycore_frame.h>
#endif

#if !AT_LEAST(11)
/* Objects/dict-common.h, which is not installed. */
typedef struct {
    Py_ssize_t dk_refcnt;
    Py_ssize_t dk_size;
    void *dk_lookup;
    Py_ssize_t dk_usable;
    Py_ssize_t dk_nentries;
    char dk_indices[];
} Keys;
#else
typedef struct _dictkeysobject Keys;
#endif

#define OPEN(field, type) printf("    %s: Struct { size: %zu, members: &[\n", field, sizeof(type))
#define CLOSE() printf("    ] },\n")
#define M(type, field) printf("        member(\"%s\", %zu, %zu),\n", #field, offsetof(type, field), sizeof(((type *)0)->field))
/* A field of an inner struct, printed under its last name. */
#define N(type, path, name) printf("        member(\"%s\", %zu, %zu),\n", name, offsetof(type, path), sizeof(((type *)0)->path))
#define SIZED(type) N(type, ob_base.ob_size, "ob_size")

static void type_object(void) {
    OPEN("type_object", PyTypeObject);
    SIZED(PyTypeObject);
    M(PyTypeObject, tp_name); M(PyTypeObject, tp_basicsize); M(PyTypeObject, tp_itemsize);
    M(PyTypeObject, tp_dealloc); M(PyTypeObject, tp_vectorcall_offset); M(PyTypeObject, tp_getattr);
    M(PyTypeObject, tp_setattr); M(PyTypeObject, tp_as_async); M(PyTypeObject, tp_repr);
    M(PyTypeObject, tp_as_number); M(PyTypeObject, tp_as_sequence); M(PyTypeObject, tp_as_mapping);
    M(PyTypeObject, tp_hash); M(PyTypeObject, tp_call); M(PyTypeObject, tp_str);
    M(PyTypeObject, tp_getattro); M(PyTypeObject, tp_setattro); M(PyTypeObject, tp_as_buffer);
    M(PyTypeObject, tp_flags); M(PyTypeObject, tp_doc); M(PyTypeObject, tp_traverse);
    M(PyTypeObject, tp_clear); M(PyTypeObject, tp_richcompare); M(PyTypeObject, tp_weaklistoffset);
    M(PyTypeObject, tp_iter); M(PyTypeObject, tp_iternext); M(PyTypeObject, tp_methods);
    M(PyTypeObject, tp_members); M(PyTypeObject, tp_getset); M(PyTypeObject, tp_base);
    M(PyTypeObject, tp_dict); M(PyTypeObject, tp_descr_get); M(PyTypeObject, tp_descr_set);
    M(PyTypeObject, tp_dictoffset); M(PyTypeObject, tp_init); M(PyTypeObject, tp_alloc);
    M(PyTypeObject, tp_new); M(PyTypeObject, tp_free); M(PyTypeObject, tp_is_gc);
    M(PyTypeObject, tp_bases); M(PyTypeObject, tp_mro); M(PyTypeObject, tp_cache);
    M(PyTypeObject, tp_subclasses); M(PyTypeObject, tp_weaklist); M(PyTypeObject, tp_del);
    M(PyTypeObject, tp_version_tag); M(PyTypeObject, tp_finalize); M(PyTypeObject, tp_vectorcall);
#if AT_LEAST(12)
    M(PyTypeObject, tp_watched);
#endif
#if AT_LEAST(13)
    M(PyTypeObject, tp_versions_used);
#endif
    CLOSE();

    OPEN("heap_type", PyHeapTypeObject);
    M(PyHeapTypeObject, as_async); M(PyHeapTypeObject, as_number); M(PyHeapTypeObject, as_mapping);
    M(PyHeapTypeObject, as_sequence); M(PyHeapTypeObject, as_buffer);
    M(PyHeapTypeObject, ht_name); M(PyHeapTypeObject, ht_slots); M(PyHeapTypeObject, ht_qualname);
    M(PyHeapTypeObject, ht_cached_keys); M(PyHeapTypeObject, ht_module);
#if AT_LEAST(11)
    M(PyHeapTypeObject, _ht_tpname); M(PyHeapTypeObject, _spec_cache);
#endif
    CLOSE();

    OPEN("member_def", PyMemberDef);
    M(PyMemberDef, name); M(PyMemberDef, type); M(PyMemberDef, offset);
    CLOSE();
}

static void code(void) {
    OPEN("code", PyCodeObject);
#if AT_LEAST(11)
    SIZED(PyCodeObject);
#endif
    M(PyCodeObject, co_argcount); M(PyCodeObject, co_flags); M(PyCodeObject, co_firstlineno);
    M(PyCodeObject, co_consts); M(PyCodeObject, co_names);
    M(PyCodeObject, co_filename); M(PyCodeObject, co_name);
    M(PyCodeObject, co_weakreflist); M(PyCodeObject, co_extra);
#if !AT_LEAST(10)
    M(PyCodeObject, co_lnotab);
#else
    M(PyCodeObject, co_linetable);
#endif
#if !AT_LEAST(11)
    M(PyCodeObject, co_code); M(PyCodeObject, co_zombieframe);
    M(PyCodeObject, co_opcache_map); M(PyCodeObject, co_opcache);
    M(PyCodeObject, co_opcache_flag); M(PyCodeObject, co_opcache_size);
#else
    M(PyCodeObject, co_exceptiontable); M(PyCodeObject, co_localsplusnames);
    M(PyCodeObject, co_localspluskinds); M(PyCodeObject, co_qualname);
    M(PyCodeObject, _co_firsttraceable);
    N(PyCodeObject, co_code_adaptive, "co_code_adaptive");
#endif
#if AT_LEAST(11) && !AT_LEAST(12)
    M(PyCodeObject, co_warmup); M(PyCodeObject, _co_code); M(PyCodeObject, _co_linearray);
    M(PyCodeObject, _co_linearray_entry_size);
#endif
#if AT_LEAST(12)
    M(PyCodeObject, co_version); M(PyCodeObject, _co_cached);
    M(PyCodeObject, _co_instrumentation_version); M(PyCodeObject, _co_monitoring);
#endif
#if AT_LEAST(13)
    M(PyCodeObject, co_executors);
#endif
    CLOSE();

    OPEN("function", PyFunctionObject);
    M(PyFunctionObject, func_code); M(PyFunctionObject, func_globals); M(PyFunctionObject, func_defaults);
    M(PyFunctionObject, func_kwdefaults); M(PyFunctionObject, func_closure); M(PyFunctionObject, func_doc);
    M(PyFunctionObject, func_name); M(PyFunctionObject, func_dict); M(PyFunctionObject, func_weakreflist);
    M(PyFunctionObject, func_module); M(PyFunctionObject, func_annotations);
    M(PyFunctionObject, func_qualname); M(PyFunctionObject, vectorcall);
#if AT_LEAST(10)
    M(PyFunctionObject, func_builtins);
#endif
#if AT_LEAST(11)
    M(PyFunctionObject, func_version);
#endif
#if AT_LEAST(12)
    M(PyFunctionObject, func_typeparams);
#endif
    CLOSE();
}

static void containers(void) {
    OPEN("dict", PyDictObject);
    M(PyDictObject, ma_used); M(PyDictObject, ma_version_tag); M(PyDictObject, ma_keys);
    M(PyDictObject, ma_values);
    CLOSE();

    OPEN("keys", Keys);
    M(Keys, dk_refcnt);
#if AT_LEAST(11)
    M(Keys, dk_log2_size); M(Keys, dk_log2_index_bytes); M(Keys, dk_kind); M(Keys, dk_version);
#else
    M(Keys, dk_size); M(Keys, dk_lookup);
#endif
    M(Keys, dk_usable); M(Keys, dk_nentries);
    CLOSE();

    OPEN("list", PyListObject);
    SIZED(PyListObject); M(PyListObject, ob_item); M(PyListObject, allocated);
    CLOSE();

    OPEN("tuple", PyTupleObject);
    SIZED(PyTupleObject); M(PyTupleObject, ob_item);
    CLOSE();

    OPEN("set", PySetObject);
    M(PySetObject, fill); M(PySetObject, used); M(PySetObject, mask); M(PySetObject, table);
    M(PySetObject, hash); M(PySetObject, finger); M(PySetObject, smalltable); M(PySetObject, weakreflist);
    CLOSE();

    OPEN("cell", PyCellObject);
    M(PyCellObject, ob_ref);
    CLOSE();

    OPEN("weakref", PyWeakReference);
    M(PyWeakReference, wr_object); M(PyWeakReference, wr_callback); M(PyWeakReference, hash);
    M(PyWeakReference, wr_prev); M(PyWeakReference, wr_next);
#if AT_LEAST(11)
    M(PyWeakReference, vectorcall);
#endif
    CLOSE();
}

static void scalars(void) {
    OPEN("ascii", PyASCIIObject);
    M(PyASCIIObject, length); M(PyASCIIObject, hash);
    printf("        member(\"state\", %zu, 4),\n", offsetof(PyASCIIObject, hash) + sizeof(Py_hash_t));
#if !AT_LEAST(12)
    M(PyASCIIObject, wstr);
#endif
    CLOSE();

    OPEN("compact", PyCompactUnicodeObject);
    M(PyCompactUnicodeObject, utf8_length); M(PyCompactUnicodeObject, utf8);
#if !AT_LEAST(12)
    M(PyCompactUnicodeObject, wstr_length);
#endif
    CLOSE();

    OPEN("unicode", PyUnicodeObject);
    M(PyUnicodeObject, data);
    CLOSE();

    OPEN("bytes", PyBytesObject);
    SIZED(PyBytesObject); M(PyBytesObject, ob_shash); M(PyBytesObject, ob_sval);
    CLOSE();

    OPEN("long", PyLongObject);
#if AT_LEAST(12)
    N(PyLongObject, long_value.lv_tag, "lv_tag"); N(PyLongObject, long_value.ob_digit, "ob_digit");
#else
    SIZED(PyLongObject); M(PyLongObject, ob_digit);
#endif
    CLOSE();

    OPEN("float", PyFloatObject);
    M(PyFloatObject, ob_fval);
    CLOSE();
}

#if AT_LEAST(11)
typedef _PyInterpreterFrame Frame;
#if AT_LEAST(13)
#define FRAME_CODE f_executable
#define FRAME_INSTRUCTION instr_ptr
#else
#define FRAME_CODE f_code
#define FRAME_INSTRUCTION prev_instr
#endif
#else
typedef PyFrameObject Frame;
#define FRAME_CODE f_code
#define FRAME_INSTRUCTION f_lasti
#endif

/* The numbers of frames.rs, for comparison. */
static void frame(void) {
    printf("    // Frames (see frames.rs): code %zu, instruction %zu of %zu bytes, ",
           offsetof(Frame, FRAME_CODE), offsetof(Frame, FRAME_INSTRUCTION), sizeof(((Frame *)0)->FRAME_INSTRUCTION));
#if AT_LEAST(11)
    printf("previous %zu, owner %zu, ", offsetof(Frame, previous), offsetof(Frame, owner));
#else
    printf("previous %zu, ", offsetof(Frame, f_back));
#endif
#if AT_LEAST(13)
    printf("first_frame %zu.\n", offsetof(PyThreadState, current_frame));
#elif AT_LEAST(11)
    printf("first_frame %zu, of_cframe %zu.\n", offsetof(PyThreadState, cframe), offsetof(_PyCFrame, current_frame));
#else
    printf("first_frame %zu.\n", offsetof(struct _ts, frame));
#endif
}

int main(void) {
    printf("//! Written by generate.c from the headers of `CPython` %s. Do not edit.\n\n", PY_VERSION);
    printf("use super::structs::{Struct, Structs, member};\n\n");
    printf("/// Sizes and fields of the structs, in bytes from the start of each.\n");
    printf("pub(super) const STRUCTS: Structs = Structs {\n");
    frame();
    type_object();
    code();
    containers();
    scalars();
    printf("};\n");
    return 0;
}
