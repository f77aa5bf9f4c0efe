import ast, collections, ctypes, datetime, decimal, enum, functools, gc, json, sys, types, weakref

HEAD = 16


def word(address):
    return ctypes.c_uint64.from_address(address).value


def size_of(obj):
    """Bytes of an object from its id on."""
    t = type(obj)
    head = 16 if t.__flags__ & 1 << 14 else 0
    managed = 1 << 4 | (1 << 3 if sys.version_info >= (3, 12) else 0)
    pre = 16 if sys.version_info >= (3, 11) and t.__flags__ & managed else 0
    return max(sys.getsizeof(obj) - head - (pre if sys.version_info >= (3, 12) else 0), t.__basicsize__)


fields = []


def field(obj, name, class_, value, limit=None, start=HEAD):
    """The field of an object that holds a word is found by looking for the word."""
    value &= (1 << 64) - 1
    limit = limit or size_of(obj)
    found = [at for at in range(start, limit // 8 * 8, 8) if word(id(obj) + at) == value]
    if len(found) != 1:
        raise SystemExit(f"{name} of {type(obj)}: {found}")
    fields.append([id(obj), id(type(obj)), found[0], name, class_])


def held(obj, name, value, **options):
    field(obj, name, "Body", id(value), **options)


class Unique:
    """A value that nobody else holds."""


class Shop:
    class Product:
        __slots__ = ("price", "name", "__weakref__")

    class Special(Product):
        __slots__ = ("_discount", "__private")


class Plain:
    def __init__(self):
        self.first, self.second = Unique(), Unique()


class Derived(Plain):
    __slots__ = ("slot",)


class Text(str):
    pass


class Number(int):
    pass


class Mapping(dict):
    __slots__ = ("extra",)


class Meta(type):
    pass


class Instance(metaclass=Meta):
    pass


class Color(enum.Enum):
    RED = 1


Product = collections.namedtuple("Product", "name price")
LocalBox = (lambda: type("Box", (list,), {"__module__": "größe.街道"}))()

product = Shop.Special()
for name in ("price", "name", "_discount", "_Special__private"):
    setattr(product, name, Unique())
    held(product, "." + name, getattr(product, name))
plain, derived = Plain(), Derived()
derived.slot = Unique()
held(derived, ".slot", derived.slot, limit=Derived.__basicsize__)
mapping = Mapping(a=1, b=2, c=3)
mapping.extra = Unique()
held(mapping, ".extra", mapping.extra)
field(mapping, "ma_used", "Body", 3, limit=24)

ascii_text, wide, latin = "ascii %d" % id(product), "街道 %d" % id(product), "größe %d" % id(product)
for string in (ascii_text, wide, latin, Text("derived %d" % id(product))):
    field(string, "hash", "Cache", hash(string), limit=40)
    field(string, "length", "Body", len(string), limit=24)
ctypes.pythonapi.PyUnicode_AsUTF8.restype = ctypes.c_void_p
ctypes.pythonapi.PyUnicode_AsUTF8.argtypes = [ctypes.py_object]
field(wide, "utf8", "Cache", ctypes.pythonapi.PyUnicode_AsUTF8(wide), limit=72)
field(wide, "utf8_length", "Cache", len(wide.encode()), start=40, limit=64)
field(ascii_text, "text", "Body", int.from_bytes(ascii_text.encode()[:8], "little"), start=40)
raw = b"some bytes %d" % id(product)
field(raw, "ob_shash", "Cache", hash(raw))
field(raw, "ob_sval", "Body", int.from_bytes(raw[:8], "little"))
frozen = frozenset([Unique(), "x"])
field(frozen, "hash", "Cache", hash(frozen), limit=64)
field(frozen, "used", "Body", 2, start=24, limit=32)
reference = weakref.ref(derived.slot)
hash(reference)
field(reference, "hash", "Cache", hash(reference))
held(reference, "wr_object", derived.slot)
triple = (Unique(), Unique(), Unique())
held(triple, "[2]", triple[2])
priced = Product(Unique(), Unique())
held(priced, "[1]", priced.price, limit=HEAD + 8 * 4)
field(triple, "ob_size", "Body", 3, limit=24)
items = [Unique()] * 7
field(items, "ob_size", "Body", 7, limit=24)
huge = (7 << 60) + 5
field(huge, "ob_digit", "Body", 5 | ((huge >> 30) % (1 << 30)) << 32, limit=32)
number = 2.5 + id(product)
field(number, "ob_fval", "Body", ctypes.c_uint64.from_buffer(ctypes.c_double(number)).value)
cell = (lambda held: (lambda: held))(product).__closure__[0]
held(cell, "ob_ref", product)


def function(a, b=Unique(), *, c=Unique()):
    """A text."""
    return product


function.attribute = 1
function.__annotations__ = {"a": Unique}
for attribute in ("code", "globals", "defaults", "kwdefaults", "doc", "dict", "annotations"):
    held(function, f"func_{attribute}", getattr(function, f"__{attribute}__"))
code = function.__code__
for attribute in ("co_filename", "co_consts", "co_names"):
    held(code, attribute, getattr(code, attribute))
if sys.version_info < (3, 11):
    held(code, "co_code", code.co_code)
else:
    fields.append([id(code), id(type(code)), type(code).__basicsize__ + 10, "co_code_adaptive", "Specialize"])

for kind in (Plain, Shop.Special, Color, LocalBox, Instance):
    held(kind, "tp_mro", kind.__mro__, limit=type.__basicsize__)
    held(kind, "tp_bases", kind.__bases__, limit=type.__basicsize__)
    field(kind, "tp_basicsize", "Body", kind.__basicsize__, start=32, limit=40)
    field(kind, "tp_flags", "Cache", kind.__flags__, limit=type.__basicsize__)
held(Shop.Special, "ht_name", Shop.Special.__name__, start=800, limit=type.__basicsize__)
held(Shop.Special, "ht_qualname", Shop.Special.__qualname__, limit=type.__basicsize__)
partial = functools.partial(print, Unique(), key=Unique())
held(partial, ".func", print, limit=functools.partial.__basicsize__)
held(partial, ".args", partial.args, limit=functools.partial.__basicsize__)
error = ValueError("x")
error.note = 1
held(error, "__dict__", error.__dict__, limit=ValueError.__basicsize__)

# Attributes of instances: where each version keeps them.
values = []
if sys.version_info >= (3, 13):
    held(plain, ".first", plain.first, limit=48)
    held(plain, ".second", plain.second, limit=48)
else:
    if sys.version_info >= (3, 12):
        start = word(id(plain) - 24) + 1
    elif sys.version_info >= (3, 11):
        start = word(id(plain) - 32)
    else:
        start = word(id(plain.__dict__) + 40)
    for name, value in (("first", plain.first), ("second", plain.second)):
        at = [start + i * 8 for i in range(2) if word(start + i * 8) == id(value)]
        values.append([id(Plain), at[0], "." + name])

kinds = {type(o) for o in gc.get_objects()} | {Plain, Derived, Text, Number, Mapping, Meta, Instance, Color, Product, LocalBox,
        Shop.Product, Shop.Special, int, str, float, decimal.Decimal, datetime.date, ast.Name, functools.partial}
for kind in list(kinds):
    kinds.update(k for k in kind.__mro__)
for module in (ast, decimal, collections, types, datetime):
    kinds.update(v for v in vars(module).values() if isinstance(v, type))


def static_name(kind):
    """tp_name of a static type."""
    return ctypes.string_at(word(id(kind) + 24)).decode()


def full_name(kind):
    if not kind.__flags__ & 1 << 9:
        return static_name(kind)
    module = kind.__dict__.get("__module__")
    return kind.__qualname__ if module in (None, "builtins") else f"{module}.{kind.__qualname__}"


told = [[id(k), full_name(k), type.__dict__["__basicsize__"].__get__(k), k.__itemsize__, k.__flags__] for k in kinds
        if isinstance(type.__dict__["__qualname__"].__get__(k), str)]

# Blocks that hold no object: items of lists full of types, and keys of dicts.
buffers = []
lists = [[kind] * n for n in range(2, 12) for kind in (int, Plain, Shop.Product, object, type)]
dicts = [{int: object, 1: type, "x": Plain} for _ in range(20)]
buffers += [word(id(l) + 24) for l in lists] + [word(id(d) + 32) for d in dicts]

sys.stdout.write(json.dumps({"types": told, "fields": fields, "values": values, "buffers": buffers}) + "\n")
sys.stdout.flush()
sys.stdin.read()
