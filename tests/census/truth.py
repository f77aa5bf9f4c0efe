"""Makes objects of many kinds and tells of each: address, type, bytes, owner; and the buffers they own."""

import array, collections, ctypes, gc, types

objects, buffers = [], []
AGE = sys.version_info[1]


def word(address):
    return ctypes.c_uint64.from_address(address).value


def know(value, path, type_name, extent=None):
    """`sys.getsizeof` counts what stands in front, and buffers; `extent` tells where that is too much."""
    objects.append([id(value), type_name, extent or sys.getsizeof(value) + in_line(value), path])


def in_line(value):
    """Bytes of attribute values behind an object: header, values, and a byte each for their order."""
    if AGE < 13 or not type(value).__flags__ & 1 << 2:
        return 0
    capacity = word(id(value) + type(value).__basicsize__) & 0xFF
    return 8 + 8 * capacity + capacity


def know_buffer(address, kind, size, path):
    buffers.append([address, kind, size, path])


def in_front(value):
    return sys.getsizeof(value) - value.__sizeof__()


def know_list(value, path):
    know(value, path, "list", 16 + list.__basicsize__)
    if value:
        know_buffer(word(id(value) + 24), "Items", 8 * word(id(value) + 32), path)


def know_dict(value, path):
    know(value, path, "dict", 16 + dict.__basicsize__)
    if value and not word(id(value) + 40):
        know_buffer(word(id(value) + 32), "Keys", sys.getsizeof(value) - 16 - dict.__basicsize__, path)


def know_set(value, path):
    know(value, path, "set", 16 + set.__basicsize__)
    table = word(id(value) + 40)
    if table != id(value) + 64:
        know_buffer(table, "Table", sys.getsizeof(value) - 16 - set.__basicsize__, path)


class Slotted:
    __slots__ = ("name", "tags")

    def __init__(self, number):
        self.name, self.tags = f"slotted-{number}", [f"tag-{number}"]


class User:
    def __init__(self, number):
        self.email, self.groups = f"user-{number}@example.org", {f"group-{number}"}


class Child(User, dict):
    pass


class Numbered(int):
    pass


class Pair(tuple):
    __slots__ = ()


class Registry:
    ENTRIES = {"first": bytearray(b"entry" * 100)}
    closed = None


class Größe:
    class Maß:
        pass


def closure():
    captured = ["captured by a closure"]

    def inner():
        return captured

    return inner, captured


def running():
    local = bytearray(b"held by a generator")
    yield local
    yield local


CATALOG = [Slotted(number) for number in range(500)]
USERS = [User(number) for number in range(500)]
CHILDREN = [Child(number) for number in range(20)]
CONFIG = {"db": {"host": "db.example.org-host", "ports": [54320, 54321]}, 5: ("five-%d" % 5,)}
LONG = [f"item {number}" for number in range(100_000)]
BIG = "x" * (1 << 20)
WIDE = "\u00fc" * 5000 + "%d" % 1
WIDER = "\U0001f600" * 5000 + "%d" % 1
NUMBER = 1 << 20_000
SET = {f"member-{number}" for number in range(1000)}
FEW = {"few-%d" % 1}
PAIRS = [Pair((f"left-{number}", number)) for number in range(50)]
NUMBERED = [Numbered(number + 10**6) for number in range(50)]
for number, numbered in enumerate(NUMBERED):
    numbered.note = f"note-{number}"
SIZES = [Größe(), Größe.Maß()]
INNER, captured = closure()
GENERATOR = running()
held = next(GENERATOR)
RAW = bytearray(b"raw" * 100_000)
DOUBLES = array.array("d", range(100_000))
SHORTS = array.array("h", range(7))
QUEUE = collections.deque([f"queued-{number}" for number in range(100)])
Disguised = type("array.array", (), {"__slots__": ["a", "b", "c", "d", "e", "f", "g"]})
DISGUISED = Disguised()
DISGUISED.a, DISGUISED.b = ["a"], 1 << 70
shop = types.ModuleType("shop")
sys.modules["shop"] = shop
shop.PRICES = {f"price-{number}": float(number) + 0.5 for number in range(300)}
shop.Ware = type("Ware", (), {"__module__": "shop", "LIST": [object()]})
del numbered, number

know_list(CATALOG, "__main__.CATALOG")
for entry in CATALOG[::7]:
    know(entry, "__main__.CATALOG[*]", "__main__.Slotted")
    know(entry.name, "__main__.CATALOG[*].name", "str")
    know_list(entry.tags, "__main__.CATALOG[*].tags")
    know(entry.tags[0], "__main__.CATALOG[*].tags[*]", "str")
for entry in USERS[::7]:
    know(entry, "__main__.USERS[*]", "__main__.User")
    know(entry.email, "__main__.USERS[*].email", "str")
    know_set(entry.groups, "__main__.USERS[*].groups")
# Makes a dict of what was kept without one.
know(USERS[1].__dict__, "__main__.USERS[*]", "dict", 16 + dict.__basicsize__)
for entry in CHILDREN:
    know(entry, "__main__.CHILDREN[*]", "__main__.Child", in_front(entry) + object.__sizeof__(entry))
    know(entry.email, "__main__.CHILDREN[*].email", "str")
know_dict(CONFIG, "__main__.CONFIG")
know_dict(CONFIG["db"], "__main__.CONFIG['db']")
know(CONFIG["db"]["host"], "__main__.CONFIG['db']['host']", "str")
know(CONFIG["db"]["ports"][0], "__main__.CONFIG['db']['ports'][*]", "int")
know(CONFIG[5], "__main__.CONFIG[*]", "tuple")
know(CONFIG[5][0], "__main__.CONFIG[*][*]", "str")
know_list(LONG, "__main__.LONG")
know(LONG[77_777], "__main__.LONG[*]", "str")
know(BIG, "__main__.BIG", "str")
know(WIDE, "__main__.WIDE", "str")
know(WIDER, "__main__.WIDER", "str")
know(NUMBER, "__main__.NUMBER", "int")
know_set(SET, "__main__.SET")
know(next(iter(SET)), "__main__.SET[*]", "str")
know_set(FEW, "__main__.FEW")
know(PAIRS[3], "__main__.PAIRS[*]", "__main__.Pair")
know(PAIRS[3][0], "__main__.PAIRS[*][*]", "str")
know(NUMBERED[3], "__main__.NUMBERED[*]", "__main__.Numbered")
know(NUMBERED[3].note, "__main__.NUMBERED[*].note", "str")
know(SIZES[0], "__main__.SIZES[*]", "__main__.Größe")
know(SIZES[1], "__main__.SIZES[*]", "__main__.Größe.Maß")
know(INNER, "__main__.INNER", "function")
know_list(captured, "__main__.captured")
know(GENERATOR, "__main__.GENERATOR", "generator")
know(RAW, "__main__.RAW", "bytearray", bytearray.__basicsize__)
know_buffer(word(id(RAW) + 32), "Bytes", word(id(RAW) + 24), "__main__.RAW")
for name in ("DOUBLES", "SHORTS"):
    numbers = globals()[name]
    know(numbers, f"__main__.{name}", "array.array", in_front(numbers) + array.array.__basicsize__)
    size = numbers.__sizeof__() - array.array.__basicsize__
    know_buffer(numbers.buffer_info()[0], "Bytes", size, f"__main__.{name}")
know(QUEUE, "__main__.QUEUE", "collections.deque", in_front(QUEUE) + collections.deque.__basicsize__)
know(QUEUE[77], "__main__.QUEUE[*]", "str")
know_buffer(word(id(QUEUE) + 24), "Items", 66 * 8, "__main__.QUEUE")
know_buffer(word(id(QUEUE) + 32), "Items", 66 * 8, "__main__.QUEUE")
know(DISGUISED, "__main__.DISGUISED", "__main__.array.array")
know_list(DISGUISED.a, "__main__.DISGUISED.a")
know(Registry, "__main__.Registry", "type", 16 + type.__basicsize__)
know_dict(Registry.ENTRIES, "__main__.Registry.ENTRIES")
know(Registry.ENTRIES["first"], "__main__.Registry.ENTRIES['first']", "bytearray", bytearray.__basicsize__)
know(shop, "shop", "module")
know_dict(shop.PRICES, "shop.PRICES")
know(shop.PRICES["price-3"], "shop.PRICES['price-3']", "float")
know(shop.PRICES["price-299"], "shop.PRICES[*]", "float")
know(shop.Ware, "shop.Ware", "type", 16 + type.__basicsize__)
know(shop.Ware.LIST[0], "shop.Ware.LIST[*]", "object")

del entry, name, numbers, size


def finish():
    only_here = [f"held by {'a frame'}"]
    know(only_here[0], "(no module).<list>[*]", "str")
    know(only_here, "(no module).<list>", "list", 16 + list.__basicsize__)
    gc.collect()
    if os.environ.get("FORKPRINT_TEST_FREEZE"):
        gc.freeze()
    types = [id(User), id(int), id(type), id(shop.Ware)]
    told = json.dumps({"objects": objects, "buffers": buffers, "types": types})
    census()
    print(told, flush=True)


finish()
wait()
