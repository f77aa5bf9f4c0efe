//! What may write to a page of each region in a made-up shop: cause, object, owner, writer and stack.

use crate::family::Cause;

/// One way in which a page is broken.
pub(super) struct Scene {
    /// How often, among the scenes of its region.
    pub weight: u64,
    /// Class of the write.
    pub cause: Cause,
    /// Whether the page tends to end as a ghost.
    pub ghost: bool,
    /// Type and field; empty where no object is known.
    pub object: [&'static str; 2],
    /// Steps of the owner's path.
    pub owner: &'static [&'static str],
    /// Symbol and library of the writing instruction.
    pub writer: [&'static str; 2],
    /// Indexes in [`FUNCTIONS`], outermost first, below the frames that every stack has.
    pub calls: &'static [usize],
    /// Whether the GIL was released.
    pub native: bool,
}

/// Name, file, first line, line under way.
pub(super) const FUNCTIONS: [(&str, &str, u32, u32); 24] = [
    ("<module>", "/usr/bin/gunicorn", 1, 8),
    ("Arbiter.run", "/usr/lib/python3/site-packages/gunicorn/arbiter.py", 195, 209),
    ("Worker.init_process", "/usr/lib/python3/site-packages/gunicorn/workers/base.py", 87, 143),
    ("SyncWorker.run", "/usr/lib/python3/site-packages/gunicorn/workers/sync.py", 115, 126),
    ("SyncWorker.handle", "/usr/lib/python3/site-packages/gunicorn/workers/sync.py", 133, 136),
    ("Flask.wsgi_app", "/usr/lib/python3/site-packages/flask/app.py", 1455, 1473),
    ("Flask.dispatch_request", "/usr/lib/python3/site-packages/flask/app.py", 858, 880),
    ("<module>", "/srv/forkprint/__main__.py", 1, 5),
    ("run_step", "/srv/forkprint/worker.py", 40, 52),
    ("iterate", "/srv/shop/shop.py", 9, 14),
    ("Catalog.search", "/srv/shop/shop.py", 30, 38),
    ("Catalog._matches", "/srv/shop/shop.py", 41, 44),
    ("Product.price_for", "/srv/shop/model.py", 61, 67),
    ("Session.touch", "/srv/shop/session.py", 22, 25),
    ("render", "/srv/shop/views.py", 101, 117),
    ("collect", "/srv/shop/housekeeping.py", 12, 15),
    ("Template.render", "/usr/lib/python3/site-packages/jinja2/environment.py", 1269, 1301),
    ("JSONEncoder.encode", "/usr/lib/python3.12/json/encoder.py", 183, 200),
    ("Random.shuffle", "/usr/lib/python3.12/random.py", 354, 360),
    ("Cursor.fetchall", "/srv/shop/database.py", 70, 82),
    ("compress", "/srv/shop/images.py", 14, 21),
    ("Thread._bootstrap", "/usr/lib/python3.12/threading.py", 1016, 1032),
    ("Thread.run", "/usr/lib/python3.12/threading.py", 1001, 1012),
    ("refresh_prices", "/srv/shop/timer.py", 8, 19),
];

/// The outer frames of every stack in a worker of a server, and of a script.
pub(super) const SERVER: &[usize] = &[0, 1, 2, 3, 4, 5, 6];
pub(super) const SCRIPT: &[usize] = &[7, 8];

const PYTHON: &str = "libpython3.12.so.1.0";
const EVAL: [&str; 2] = ["_PyEval_EvalFrameDefault", PYTHON];
const PRODUCTS: &[&str] = &["shop", ".CATALOG", "[*]"];

const fn scene(
    weight: u64,
    cause: Cause,
    ghost: bool,
    object: [&'static str; 2],
    owner: &'static [&'static str],
    writer: [&'static str; 2],
    calls: &'static [usize],
) -> Scene {
    Scene { weight, cause, ghost, object, owner, writer, calls, native: false }
}

const ARENA: &[Scene] = &[
    scene(40, Cause::Refcount, true, ["shop.Product", "ob_refcnt"], PRODUCTS, EVAL, &[9]),
    scene(
        26,
        Cause::Refcount,
        true,
        ["str", "ob_refcnt"],
        &["shop", ".CATALOG", "[*]", ".name"],
        EVAL,
        &[9, 10, 11],
    ),
    scene(
        14,
        Cause::Refcount,
        true,
        ["tuple", "ob_refcnt"],
        &["shop", ".CATALOG", "[*]", ".tags"],
        ["tuple_richcompare", PYTHON],
        &[9, 10, 11],
    ),
    scene(
        6,
        Cause::Refcount,
        true,
        ["function", "ob_refcnt"],
        &["jinja2.environment", ".Template", ".render"],
        ["_Py_Dealloc", PYTHON],
        &[14, 16],
    ),
    scene(
        15,
        Cause::GcHeader,
        true,
        ["dict", "_gc_prev"],
        &["shop", ".CATALOG", "[*]", ".__dict__"],
        ["gc_collect_main", PYTHON],
        &[15],
    ),
    scene(
        5,
        Cause::GcHeader,
        true,
        ["list", "_gc_next"],
        &["shop", ".INDEX", "['words']", "[*]"],
        ["gc_collect_main", PYTHON],
        &[15],
    ),
    scene(
        16,
        Cause::LazyCache,
        false,
        ["str", "hash"],
        &["shop", ".CATALOG", "[*]", ".name"],
        ["unicode_hash", PYTHON],
        &[9, 10],
    ),
    scene(
        6,
        Cause::LazyCache,
        false,
        ["str", "utf8"],
        &["shop", ".MESSAGES", "[*]"],
        ["unicode_fill_utf8", PYTHON],
        &[14, 17],
    ),
    scene(
        12,
        Cause::ObjectBody,
        false,
        ["shop.Product", ".seen"],
        PRODUCTS,
        ["_PyObject_StoreInstanceAttribute", PYTHON],
        &[9, 10, 12],
    ),
    scene(
        4,
        Cause::ObjectBody,
        false,
        ["shop.Session", ".last"],
        &["shop.session", ".SESSIONS", "[*]"],
        ["_PyObject_StoreInstanceAttribute", PYTHON],
        &[13],
    ),
    scene(8, Cause::Allocator, false, ["", "freelist"], &[], ["_PyObject_Free", PYTHON], &[14, 17]),
    scene(
        3,
        Cause::Specialize,
        false,
        ["code", "co_code_adaptive"],
        &["shop", ".Catalog", ".search", ".__code__"],
        ["_Py_Specialize_LoadAttr", PYTHON],
        &[9, 10],
    ),
];

const TABLE: &[Scene] = &[
    scene(
        10,
        Cause::ObjectBody,
        false,
        ["list", "items"],
        &["shop", ".INDEX", "['words']"],
        ["list_ass_item", PYTHON],
        &[9, 18],
    ),
    scene(
        6,
        Cause::ObjectBody,
        false,
        ["dict", "keys"],
        &["shop.session", ".SESSIONS"],
        ["insertdict", PYTHON],
        &[13],
    ),
    scene(
        3,
        Cause::Refcount,
        true,
        ["dict", "dk_refcnt"],
        &["shop", ".CATALOG", "[*]", ".__dict__"],
        ["clone_combined_dict_keys", PYTHON],
        &[9, 10],
    ),
];

const HEAP: &[Scene] = &[
    scene(6, Cause::Allocator, false, ["", "chunk header"], &[], ["_int_malloc", "libc.so.6"], &[14, 17]),
    scene(
        4,
        Cause::ObjectBody,
        false,
        ["bytearray", "bytes"],
        &["shop.images", ".CACHE", "[*]"],
        ["__memmove_avx_unaligned_erms", "libc.so.6"],
        &[20],
    ),
    scene(
        2,
        Cause::Refcount,
        true,
        ["type", "ob_refcnt"],
        &["shop", ".Product"],
        ["PyType_GenericAlloc", PYTHON],
        &[19],
    ),
    scene(
        2,
        Cause::KernelWrite,
        false,
        ["bytearray", "bytes"],
        &["shop.database", ".BUFFER"],
        ["read", "kernel"],
        &[19],
    ),
];

const INTERPRETER: &[Scene] = &[
    scene(8, Cause::Interpreter, true, ["", "_PyRuntime"], &[], ["take_gil", PYTHON], &[9]),
    scene(
        5,
        Cause::Interpreter,
        false,
        ["type", "tp_version_tag"],
        &["builtins", ".dict"],
        ["assign_version_tag", PYTHON],
        &[9, 10],
    ),
    scene(
        3,
        Cause::Refcount,
        true,
        ["type", "ob_refcnt"],
        &["builtins", ".str"],
        ["PyType_GenericNew", PYTHON],
        &[14, 17],
    ),
];

const ANONYMOUS: &[Scene] = &[
    scene(
        8,
        Cause::ObjectBody,
        false,
        ["numpy.ndarray", "data"],
        &["shop", ".PRICES"],
        ["DOUBLE_add", "_multiarray_umath.so"],
        &[9, 12],
    ),
    scene(
        8,
        Cause::GcHeader,
        true,
        ["code", "_gc_prev"],
        &["jinja2.environment", ".Template"],
        ["gc_collect_main", PYTHON],
        &[15],
    ),
    scene(
        3,
        Cause::Specialize,
        false,
        ["code", "co_code_adaptive"],
        &["jinja2.environment", ".Template", ".render", ".__code__"],
        EVAL,
        &[14, 16],
    ),
];

const NATIVE: &[Scene] = &[
    scene(6, Cause::NativeData, false, ["", ".bss"], &[], ["_IO_new_file_xsputn", "libc.so.6"], &[14]),
    Scene {
        weight: 2,
        cause: Cause::NativeData,
        ghost: true,
        object: ["", ".data"],
        owner: &[],
        writer: ["RAND_DRBG_generate", "libcrypto.so.3"],
        calls: &[13, 20],
        native: true,
    },
];

const STACK: &[Scene] = &[scene(1, Cause::Stack, false, ["", ""], &[], EVAL, &[9, 10])];

/// What the zygote's timer writes.
pub(super) const TIMER: Scene = scene(
    1,
    Cause::ObjectBody,
    false,
    ["shop.Product", ".price"],
    PRODUCTS,
    ["_PyObject_StoreInstanceAttribute", PYTHON],
    &[21, 22, 23],
);

/// The scenes of every region, in groups.
pub(super) const ALL: [&[Scene]; 7] = [ARENA, TABLE, HEAP, INTERPRETER, ANONYMOUS, NATIVE, STACK];

/// Index in [`ALL`] of the scenes of a region.
pub(super) fn group(region: &str) -> usize {
    match region {
        "pymalloc arena" => 0,
        "object table" => 1,
        "heap" => 2,
        "libpython3.12.so.1.0" => 3,
        "anonymous" => 4,
        "stack" => 6,
        _ => 5,
    }
}
