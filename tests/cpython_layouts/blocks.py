import gc, json, random, sys


class Plain:
    def __init__(self, number):
        self.number = number


class Slots:
    __slots__ = ("a", "b")

    def __init__(self, number):
        self.a = self.b = number


class Weak:
    __slots__ = ("a", "__weakref__")


random.seed(7)
makers = {
    "Plain": Plain,
    "Slots": Slots,
    "Weak": lambda number: Weak(),
    "tuple": lambda number: (number, number),
    "list": lambda number: [number],
    "dict": lambda number: {number: 1},
    "set": lambda number: {number},
    "str": lambda number: f"number {number}" + "x" * (number % 300),
    "unicode": lambda number: f"街道 {number}",
    "int": lambda number: (1 << 70) + number,
    "float": lambda number: number / 3,
    "bytes": lambda number: b"%d" % number,
    "function": lambda number: lambda: number,
    "cell": lambda number: (lambda: number).__closure__[0],
    "method": lambda number: [number].append,
    "slice": lambda number: slice(number),
    "object": lambda number: object(),
}
kept, doomed = [], []
for number in range(1000, 21_000):
    for name, make in makers.items():
        if random.random() < 0.1:
            kept.append((name, make(number)))
        elif name == "Slots":
            doomed.append(make(number))
managed = 1 << 4 | (1 << 3 if sys.version_info >= (3, 12) else 0)
told = []
gc.collect()
for name, obj in kept:
    flags = type(obj).__flags__
    pre = 16 if sys.version_info >= (3, 11) and flags & managed else 0
    headers = (16 if flags & 1 << 14 else 0) + pre
    told.append([name, id(obj), headers, id(type(obj))])
tuple_of_nineteen = tuple([name] * 19)
types = [id(t) for t in object.__subclasses__()] + [id(t) for _, o in kept for t in type(o).__mro__]
types.append(id(tuple))
text = json.dumps({"objects": told, "types": sorted(set(types)), "freed": [id(o) for o in doomed],
                   "waiting": id(tuple_of_nineteen)})
# The tuple waits in the free list of its type, the objects are given back to the allocator.
tuple_of_nineteen = None
doomed.clear()
sys.stdout.write(text + "\n")
sys.stdout.flush()
sys.stdin.read()
