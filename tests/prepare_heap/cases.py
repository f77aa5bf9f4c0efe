"""Heaps that are made ready for a fork, held against what Python itself says of their objects.

Arguments: the agent library, and the name of a case: a function of this file. A case that fails raises.
"""

import atexit
import collections
import ctypes
import functools
import gc
import socket
import sys
import threading
import types
import weakref
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_loader

LIBRARY, CASE = sys.argv[1:3]
agent = module_from_spec(spec_from_loader("_forkprint_agent", ExtensionFileLoader("_forkprint_agent", LIBRARY)))

WARM, IMMORTALISE = 1, 2
HAS_IMMORTALS = sys.version_info >= (3, 12)
BOTH = WARM | IMMORTALISE if HAS_IMMORTALS else WARM
NAMES = (
    "objects bytes immortalised already_immortal excluded hashed tagged_types looked_up pages_written peak_bytes "
    "skipped_running skipped_resources skipped_finalizers skipped_weakrefs"
).split()


def prepare(roots=None, exclude=(), flags=BOTH):
    return types.SimpleNamespace(**dict(zip(NAMES, agent.prepare_heap(roots, exclude, flags))))


def word(thing, offset=0):
    return ctypes.c_uint64.from_address(id(thing) + offset).value


def is_immortal(thing):
    """PEP 683: the sign of the lower half of the count."""
    return bool(word(thing) & 0x8000_0000)


def expect(thing, immortal):
    if HAS_IMMORTALS:
        assert is_immortal(thing) == immortal, (type(thing), immortal, hex(word(thing)))


def mapped_bytes():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[0]) * 4096


def rows(first, count):
    return [(number, f"row {number}", {f"key {number}": [number + 0.5]}) for number in range(first, first + count)]


def parts(row):
    number, name, mapping = row
    ((key, values),) = mapping.items()
    return [row, number, name, mapping, key, values, values[0]]


def known_heap():
    few, many = rows(10_000, 500), rows(20_000, 2_000)
    before, after = prepare((few,)), prepare((many,))
    assert after.objects - before.objects == 7 * 1_500, (before, after)
    size = sum(sys.getsizeof(part) for row in many for part in parts(row)) + sys.getsizeof(many)
    size -= sum(sys.getsizeof(part) for row in few for part in parts(row)) + sys.getsizeof(few)
    assert after.bytes - before.bytes == size, (after.bytes - before.bytes, size)
    if HAS_IMMORTALS:
        assert after.immortalised == 7 * 2_000 + 1, after
        for row in many:
            assert all(word(part) == 0xFFFF_FFFF for part in parts(row))
        pages = {id(part) // 4096 for row in many for part in parts(row)} | {id(many) // 4096}
        assert after.pages_written == len(pages), (after.pages_written, len(pages))
    untouched = rows(30_000, 2)
    assert not any(is_immortal(part) for part in parts(untouched[0])) or not HAS_IMMORTALS


class Node:
    def __init__(self, below):
        self.below = below
        self.number = object()


class Finalized:
    def __init__(self):
        self.inside = ["inside"]

    def __del__(self):
        print("finalized", self.inside[0])


class Watched:
    pass


def generator():
    local = ["local"]
    yield local


async def coroutine():
    pass


def kinds():
    cyclic = []
    cyclic.append(cyclic)
    watched, seen = Watched(), Watched()
    watched.inside = ["inside"]
    with_callback, plain = weakref.ref(watched, print), weakref.ref(seen)
    running, waiting = generator(), coroutine()
    local = next(running)
    caller = sys._getframe()
    file = open(__file__)

    @functools.lru_cache
    def cached(argument):
        return [argument]

    kept = [
        cyclic, Node(None), seen, plain, cached(1), cached, kinds, kinds.__code__, kinds.__code__.co_consts,
        collections.OrderedDict(a=[1]), collections.deque([[2]]), {("a",)}, frozenset([("b",)]), Node, Node.__dict__,
        Node.__init__, types.MappingProxyType({"a": 1}), range(10**9, 10**10), (10**30,), b"bytes" * 9, 1.5j,
        type("Named", (), {"__slots__": ("slot",)}), memoryview(bytearray(9)), Finalized, ValueError("x"),
    ]
    kept += [kept[-1].args, kept[17].start, watched.inside]
    mortal = [
        watched, with_callback, running, waiting, caller, file, file.buffer, threading.Lock(),
        threading.RLock(), threading.local(), threading.Thread(), socket.socket(), Finalized(),
    ]
    inside = mortal[-1].inside
    done = prepare((kept, mortal))
    for thing in kept:
        expect(thing, True)
    for thing in mortal:
        expect(thing, False)
    expect(local, False)
    expect(inside, True)
    if HAS_IMMORTALS:
        assert done.skipped_running == 3 and done.skipped_finalizers >= 1 and done.skipped_weakrefs >= 2, done
    waiting.close()


def all_modules_and_types():
    def held():
        class Hidden(Node):
            pass

        name = Hidden.__qualname__
        yield id(Hidden), name

    hidden = held()
    address, _ = next(hidden)
    done = prepare()
    assert done.objects > 5_000
    if HAS_IMMORTALS:
        assert ctypes.c_uint64.from_address(address).value & 0x8000_0000, "a type that no module leads to"
        for module in list(sys.modules.values()):
            expect(module, module.__name__ != "forkprint._guard")
        expect(sys.modules, True)
    again = prepare()
    assert again.immortalised < 100, again
    assert gc.collect() == gc.collect() == 0


def deep_and_wide():
    chain, attributes = None, None
    for number in range(1_000_000):
        chain = [chain, number + 10_000]
    for _ in range(200_000):
        attributes = Node(attributes)
    wide = {(number, ((number,),)) for number in range(200_000)}
    done = prepare((chain, attributes, wide), (), BOTH)
    # Of tuples in a set all are taken at once, more than the stack has room for.
    assert done.objects > 3_200_000, done
    assert done.peak_bytes * 40 < done.bytes, done
    for row in wide:
        expect(row, True)
        expect(row[1][0], True)
    while chain is not None:
        expect(chain, True)
        chain = chain[0]
    while attributes is not None:
        expect(attributes.number, True)
        attributes = attributes.below


def twice():
    data = rows(1_000, 100)
    first = prepare((data,))
    data.append(("new", [object()]))
    size = mapped_bytes()
    second = prepare((data,))
    assert mapped_bytes() == size, "memory is left behind"
    if HAS_IMMORTALS:
        assert first.immortalised >= 701 and second.already_immortal >= first.immortalised
        assert second.immortalised == 3, second
        expect(data[-1][1][0], True)
    assert second.hashed == 0, second


def excluded():
    class Base:
        pass

    class Derived(Base):
        pass

    derived, other, inside, shared = Derived(), Watched(), ["inside"], ["shared"]
    derived.inside, derived.shared = inside, shared
    one = ["one", ["two"]]
    done = prepare(([derived, other, one, shared],), (Base, one))
    assert done.excluded == 2, done
    for thing in (derived, inside, one, one[1]):
        expect(thing, False)
    for thing in (other, shared, Base, Derived):
        expect(thing, True)


def refuse(*_):
    raise AssertionError("code of the program ran")


def hostile():
    spared = ("__class__", "__new__", "__init__", "__init_subclass__", "__del__", "__prepare__", "__instancecheck__")
    names = [name for base in (type, dict) for name in dir(base) if callable(getattr(base, name, None))]
    space = {name: refuse for name in names if name.startswith("__") and name not in spared}
    space["__getattr__"] = space["__getattribute__"] = refuse
    meta = type("Meta", (type,), dict(space))
    cls = type.__new__(meta, "Hostile", (), dict(space))
    instance = object.__new__(cls)

    class Key(str):
        def __eq__(self, other):
            refuse()

        __hash__ = str.__hash__

    odd = type("Odd", (), {"plain": 1})
    mapping = dict.__new__(type.__new__(meta, "Mapping", (dict,), dict(space)))
    things = [instance, cls, meta, odd, {Key("a"): [1]}, mapping, weakref.proxy(odd), types.ModuleType("lazy")]
    things[-1].__dict__["__getattr__"] = refuse
    odd_names = type("OddNames", (), {Key("plain"): 1})
    things.append(odd_names)
    prepare((things,))
    prepare(None, (odd,))
    for thing in things:
        expect(thing, True)


def warmed():
    strings = [f"string {number}" for number in range(1_000)]
    more = [b"%d" % number for number in range(1_000)], [frozenset({number}) for number in range(1_000)]
    assert all(word(string, 24) == 2**64 - 1 for string in strings)

    class Fresh:
        method = refuse

    Fresh.__name__ = "Renamed"
    done = prepare((strings, more, Fresh), (), WARM)
    assert done.hashed >= 3_000 and done.immortalised == 0, done
    for string in strings:
        assert word(string, 24) == hash(string) % 2**64
    for thing, at in zip(more, (24, 48)):
        for each in thing:
            assert word(each, at) == hash(each) % 2**64
    assert word(Fresh, 384) & 0xFFFF_FFFF, "a version tag"
    assert done.looked_up > 100


def refused():
    for arguments in ((), (None,), (None, [], 1), (None, (), "1"), (None, None, 1)):
        try:
            agent.prepare_heap(*arguments)
        except TypeError:
            continue
        raise AssertionError(arguments)
    if not HAS_IMMORTALS:
        try:
            prepare(None, (), IMMORTALISE)
        except RuntimeError as error:
            assert "3.12" in str(error), error
        else:
            raise AssertionError("immortal objects before 3.12")


class Holder:
    pass


def end():
    global holder, named
    holder, named = Holder(), Finalized()
    named.inside = ["by a module"]
    holder.file, holder.finalized, holder.running = open(sys.argv[3], "w"), Finalized(), at_its_end()
    holder.file.write("what was held back")
    next(holder.running)
    holder.closed = open(__file__)
    holder.closed.close()
    atexit.register(print, "atexit")
    prepare()
    prepare()


def at_its_end():
    try:
        yield
    finally:
        print("generator closed")


globals()[CASE]()
