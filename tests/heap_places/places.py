"""Makes objects of many kinds, takes the census, and tells what stands where.

A place is [address, place, type, field]. Everything is written down before the census is taken, so
that hardly anything changes behind it.
"""

import ast, ctypes, gc, json, os, sys, threading

VERSION = sys.version_info[:2]
POOL = 4096 if VERSION < (3, 10) else 16384
WORD = 8
AROUND = bytes().__sizeof__()

places = []


def place(address, place, ty=None, field=None):
    places.append([address, place, ty, field])


def word(address):
    return ctypes.c_uint64.from_address(address).value


class Point:
    __slots__ = ("x", "y")

    def __init__(self, x, y):
        self.x, self.y = x, y


class Product:
    class Plain:
        def __init__(self, name):
            self.name, self.price = name, None


class Wide:
    __slots__ = [f"slot_{number:03d}" for number in range(200)]


POINT, PLAIN, WIDE = "__main__.Point", "__main__.Product.Plain", "__main__.Wide"

# Strings, tuples, lists, instances: thousands of each.
names = [f"name-{number:07d}" for number in range(3_000)]
pairs = [(number + 1_000, -number - 1_000) for number in range(3_000)]
points = [Point(number, None) for number in range(3_000)]
plains = [Product.Plain(name) for name in names]
lists = [[name] * 5 for name in names]
texts = ["x" * 5_000 + name for name in names[:50]]
sets = [set(range(number, number + 40)) for number in range(200)]
bytearrays = [bytearray(b"1") * 300 for _ in range(200)]
dicts = [{name: None, 1: 2} for name in names[:500]]
wides = [Wide() for _ in range(100)]
large = bytearray(b"1") * (4 << 20)
table = {number: None for number in range(50_000)}

for name in names:
    place(id(name) + 3, "object Refcount", "str", "ob_refcnt")
    place(id(name) + 24, "object Cache", "str", "hash")
for pair in pairs:
    place(id(pair) - 8, "object GcHeader", "tuple", "_gc_prev")
    place(id(pair) - 16, "object GcHeader", "tuple", "_gc_next")
    place(id(pair), "object Refcount", "tuple", "ob_refcnt")
    place(id(pair) + 32, "object Body", "tuple", "[1]")
    place(id(pair[1]), "object Refcount", "int", "ob_refcnt")
for point in points:
    place(id(point) - 5, "object GcHeader", POINT, "_gc_prev")
    place(id(point), "object Refcount", POINT, "ob_refcnt")
    slots = [16, 24] if word(id(point) + 16) == id(point.x) else [24, 16]
    place(id(point) + slots[0], "object Body", POINT, ".x")
    place(id(point) + slots[1] + 7, "object Body", POINT, ".y")
for values in lists:
    place(id(values) + 16, "object Body", "list", "ob_size")
    for index in range(len(values)):
        place(word(id(values) + 24) + WORD * index, "buffer Body", "list", "items")
for text in texts:
    place(id(text), "object Refcount", "str", "ob_refcnt")
    place(id(text) + 4_000, "object Body", "str", "text")
    place(id(text) - 8, "native")
for values in sets:
    place(word(id(values) + 40) + 16 * 7, "buffer Body", "set", "table")
    place(id(values) + 40, "object Body", "set", "table")
for values in bytearrays:
    place(word(id(values) + 32) + 250, "buffer Body", "bytearray", "buffer")
place(word(id(large) + 32) + (3 << 20), "buffer Body", "bytearray", "buffer")
place(word(id(large) + 32) - 8, "native")
for values in dicts + [table]:
    keys = word(id(values) + 32)
    place(keys, "buffer Refcount", "dict", "dk_refcnt")
    place(keys + (16 if VERSION < (3, 11) else 12), "buffer Cache", "dict", "dk_lookup" if VERSION < (3, 11) else "dk_version")
    place(keys + (24 if VERSION < (3, 11) else 16), "buffer Body", "dict", "dk_usable")
    place(id(values) + 16, "object Body", "dict", "ma_used")
place(word(id(table) + 32) + 500_000, "buffer Body", "dict", "keys")
for wide in wides:
    for number, slot in enumerate(sorted(Wide.__slots__)):
        place(id(wide) + 16 + WORD * number, "object Body", WIDE, "." + slot)
    place(id(wide), "object Refcount", WIDE, "ob_refcnt")
    place(id(wide) - 8, "object GcHeader", WIDE, "_gc_prev")
    place(id(wide) - 24, "native")

# Attributes of instances, where each version keeps them; and the keys that all of them share.
shared = word(id(Product.Plain) + {9: 864, 10: 872, 11: 872, 12: 880, 13: 880}[VERSION[1]])
for plain in plains:
    place(id(plain), "object Refcount", PLAIN, "ob_refcnt")
    place(id(plain) - 8, "object GcHeader", PLAIN, "_gc_prev")
    if VERSION >= (3, 13):
        inside = [id(plain) + at for at in range(16, 64, 8) if word(id(plain) + at) == id(plain.name)]
        place(inside[0], "object Body", PLAIN, ".name")
        place(inside[0] + 8, "object Body", PLAIN, ".price")
    elif VERSION >= (3, 11):
        values = word(id(plain) - 32) if VERSION < (3, 12) else word(id(plain) - 24) + 1
        inside = [values + at for at in range(0, 64, 8) if word(values + at) == id(plain.name)]
        place(inside[0], "buffer Body", PLAIN, ".name")
        place(inside[0] + 8, "buffer Body", PLAIN, ".price")
        place(id(plain) - 24, "object Body", PLAIN, "__dict__")
    else:
        place(id(plain) + 16, "object Body", PLAIN, "__dict__")
        place(word(id(plain.__dict__) + 40), "buffer Body", "dict", "values")
sharer = "dict" if VERSION < (3, 11) else "type"
place(shared, "buffer Refcount", sharer, "dk_refcnt")
place(shared + (24 if VERSION < (3, 11) else 16), "buffer Body", sharer, "dk_usable")

# Types and code objects.
for ty in (Point, Wide, Product, Product.Plain):
    place(id(ty), "object Refcount", "type", "ob_refcnt")
    place(id(ty) - 8, "object GcHeader", "type", "_gc_prev")
    place(id(ty) + 168, "object Cache", "type", "tp_flags")
    place(id(ty) + 344, "object Body", "type", "tp_mro")
namespace = {}
exec(compile("def add(a, b): " + "c = a + b; " * 500, "<made>", "exec"), namespace)
codes = [namespace["add"].__code__, Point.__init__.__code__]
for code in codes:
    place(id(code), "object Refcount", "code", "ob_refcnt")
    if VERSION >= (3, 11):
        for at in range(0, len(code.co_code), 2):
            place(id(code) + type(code).__basicsize__ + at, "object Specialize", "code", "co_code_adaptive")


def frames():
    """A generator that waits: how many values it holds, its type does not say."""
    held = [ast, os, sys, [], {}, (), "", 1, 2.5]
    yield id(held)


waiting = [frames() for _ in range(200)]
for generator in waiting:
    next(generator)
    place(id(generator), "object Refcount", "generator", "ob_refcnt")

# Pools: their headers, and blocks that were given back.
pools = {id(name) // POOL * POOL for name in names}
for pool in pools:
    for at in range(0, 48, 4):
        place(pool + at, "pool header")
blocks = [bytes(448 - AROUND) for _ in range(2_000)]
freed = [id(block) for index, block in enumerate(blocks) if index % 2]
blocks = blocks[::2]

# Data of libraries.
libc = ctypes.CDLL(None)
stdout = ctypes.addressof(ctypes.c_void_p.in_dll(libc, "stdout"))
runtime = ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, "_PyRuntime"))
place(stdout, "library", "libc.so.6", "stdout")
place(runtime + 100, "interpreter", "libpython%d.%d.so.1.0" % VERSION, "_PyRuntime")
for thing in (int, str, type, dict):
    place(id(thing), "interpreter", "type", "ob_refcnt")
    place(id(thing) + 168, "interpreter", "type", "tp_flags")
place(id(None), "interpreter", "NoneType", "ob_refcnt")
place(id(True) + 4, "interpreter", "bool", "ob_refcnt")
if VERSION >= (3, 11):
    place(id(5), "interpreter", "int", "ob_refcnt")
place(ctypes.cast(libc.malloc, ctypes.c_void_p).value, "library", "libc.so.6", "malloc")

# Memory of malloc, in its three forms; stacks.
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.pthread_self.restype = ctypes.c_void_p
for size in (24, 600, 3_000, 90_000, 40 << 20):
    start = libc.malloc(size)
    for at in (-8, 0, size // 2, size - 1):
        place(start + at, "native")
EVENT, threads = threading.Event(), []


def wait(ready):
    here, inner = libc.pthread_self(), libc.malloc(700)
    place(here + 8, "stack")
    place(here - 5_000, "stack")
    place(here - (100 << 10), "stack")
    place(inner + 300, "native")
    ready.set()
    EVENT.wait()


for size in (0, 0, 1 << 20, 300 << 12):
    threading.stack_size(size)
    ready = threading.Event()
    threads.append(threading.Thread(target=wait, args=[ready], daemon=True))
    threads[-1].start()
    ready.wait()
with open("/proc/self/maps") as maps:
    stack = next(line for line in maps if line.endswith("[stack]\n"))
place(int(stack.split()[0].split("-")[1], 16) - 4_000, "stack")

def full_name(ty):
    """As the census and the memory call it."""
    if not ty.__flags__ & 1 << 9:
        return ctypes.string_at(word(id(ty) + 24)).decode()
    module = ty.__dict__.get("__module__")
    return ty.__qualname__ if module in (None, "builtins") else f"{module}.{ty.__qualname__}"


# Every object that the collector knows, and all that these refer to.
everything = gc.get_objects()
everything += gc.get_referents(*everything)
everything = list({id(thing): thing for thing in everything}.values())
objects = [[id(thing), full_name(type(thing))] for thing in everything[::5]]


# Floats that wait to be used again; the keys of dicts that do.
floats, empty = [float(number) for number in range(60)], [{1: 2} for _ in range(60)]
waiting_floats = [id(number) for number in floats[:59]]
waiting_keys = [word(id(values) + 32) for values in empty]

waiting_blocks = waiting_floats + waiting_keys
libc.__errno_location.restype = ctypes.c_void_p
place(libc.__errno_location(), "library", None, "thread-local")
place(libc.pthread_self() + 16, "library", None, "thread-local")
gaps = [libc.malloc(5_000) for _ in range(400)]
told = json.dumps({"places": places, "freed": freed, "waiting": waiting_blocks, "gaps": gaps[1:-1:2], "objects": objects}) + "\n"
libc.free.restype, libc.free.argtypes = None, [ctypes.c_void_p]
for gap in gaps[1:-1:2]:
    libc.free(gap)
del places[:], floats[:], empty[:]
libc.forkprint_agent_configure(int(os.environ["FORKPRINT_TEST_SOCKET"]))
ctypes.PyDLL(None).forkprint_agent_census()
os.write(1, told.encode()) == len(told.encode()) or sys.exit("half a line")
sys.stdin.buffer.raw.read(1)
