"""Makes objects that would like to be noticed: whatever of their code runs prints."""

import gc, types, weakref

objects = []


def loud(*_, **__):
    tell("code of a class ran")
    raise RuntimeError


class Name(str):
    """A key that hashes and compares in Python, once it is told to."""

    awake = False

    def __hash__(self):
        return (loud if Name.awake else lambda: 0)() or str.__hash__(self)

    def __eq__(self, other):
        return (loud if Name.awake else lambda: 0)() or str.__eq__(self, other)


class Meta(type):
    awake = False

    def __getattribute__(cls, name):
        return loud() if type.__getattribute__(type(cls), "awake") else type.__getattribute__(cls, name)


class Loud(metaclass=Meta):
    def __getattribute__(self, name):
        loud()

    __len__ = __iter__ = __bool__ = __repr__ = __del__ = __sizeof__ = __getattr__ = __hash__ = loud
    __class__ = __dict__ = property(loud)


class Module(types.ModuleType):
    def __getattribute__(self, name):
        return loud() if Meta.awake else super().__getattribute__(name)


class Sequence(list):
    __len__ = __iter__ = __getitem__ = loud


class Table(dict):
    __len__ = __iter__ = __getitem__ = keys = items = __contains__ = loud


class Many:
    __slots__ = [f"slot_{number}" for number in range(3000)]


class Empty:
    pass


def know(value, path, type_name, extent=None):
    objects.append([id(value), type_name, extent, path])


LOUD = [Loud() for _ in range(10)]
know(LOUD[0], "__main__.LOUD[*]", "__main__.Loud")
SEQUENCE, TABLE = Sequence(["a"]), Table(a=["b"])
know(SEQUENCE, "__main__.SEQUENCE", "__main__.Sequence")
know(list.__getitem__(SEQUENCE, 0), None, "str")
know(dict.__getitem__(TABLE, "a"), "__main__.TABLE['a']", "list")

strange = {"quotes' \" and\nlines\x1b[31m": ["strange"], "x" * 500: ["long"], "": ["empty"], "\u00fc\ud800": ["lone"]}
know(strange["\u00fc\ud800"], "__main__.strange['\u00fc\ufffd']", "list")
know(strange["x" * 500], "__main__.strange[*]", "list")
know(strange[""], "__main__.strange['']", "list")
know(strange["quotes' \" and\nlines\x1b[31m"], "__main__.strange['quotes' \" and\\nlines\\u{1b}[31m']", "list")
names = {Name("sly"): ["sly"], 5: ["five"], (1, 2): ["pair"], None: ["none"]}
know(names[None], "__main__.names[*]", "list")

odd_modules = []
for index, module in enumerate([5, None, "\u00fc", "a\nb", ["list"], Loud]):
    odd = type("Odd\u00e9", (), {Name("sly"): 1, "__module__": module, "__qualname__": f"Odd.<{index}>"})
    odd_modules.append([odd, odd()])
expected = ["Odd.<0>", "Odd.<1>", "\u00fc.Odd.<2>", "a\\nb.Odd.<3>", "Odd.<4>", "Odd.<5>"]
for (odd, instance), name in zip(odd_modules, expected):
    know(instance, "__main__.odd_modules[*][*]", name)
    know(odd, "__main__.odd_modules[*][*]", "type")
del odd, module, index, instance, name

many = [Many() for _ in range(3)]
many[0].slot_2999 = ["last slot"]
know(many[0].slot_2999, "__main__.many[*].slot_2999", "list")
crowded = Empty()
for number in range(5000):
    setattr(crowded, f"attribute_{number}", [number])
know(crowded.attribute_17, "__main__.crowded.attribute_17", "list")
know(crowded.attribute_4999, None, "list")
for weird in (b"bytes", 7, Name("sly")):
    crowded.__dict__[weird] = ["weird attribute"]

chain = None
for number in range(1_000_000):
    chain = [chain]
know(chain, "__main__.chain", "list")
deep = ()
for number in range(100_000):
    deep = (deep, number)
know(deep, "__main__.deep", "tuple")
know(deep[0][0][0][0], "__main__.deep[*][*][*][*]", "tuple")
loop = []
loop.append(loop)
loop.append({"self": loop, "dict": loop[0]})
know(loop, "__main__.loop", "list")
mutual = Empty()
mutual.mutual, mutual.type, mutual.own = mutual, Empty, mutual.__dict__
know(mutual, "__main__.mutual", "__main__.Empty")

sys.modules["not a module"] = LOUD[1]
sys.modules["number"] = 5
sys.modules["module\n\u00fc"] = odd_module = Module("odd")
odd_module.INSIDE = ["inside"]
sys.modules[Name("sly")] = None
know(odd_module.INSIDE, "module\\n\u00fc.INSIDE", "list")
unfinished = Empty.__new__(Empty), list.__new__(list), types.ModuleType.__new__(types.ModuleType)
know(unfinished[2], "__main__.unfinished[*]", "module")


class Target:
    pass


target = Target()
references = [weakref.ref(target), weakref.proxy(target), weakref.WeakValueDictionary(a=target)]
finished = (number for number in [])
list(finished)
try:
    loud_error = {}["missing"]
except KeyError as error:
    kept = error
know(kept, "__main__.kept", "KeyError")
know(kept.__traceback__.tb_frame, None, "frame")
know(finished, "__main__.finished", "generator")

gc.collect()
gc.disable()
Meta.awake = Name.awake = True
tell_later = json.dumps({"objects": objects})
census()
Meta.awake = Name.awake = False
print(tell_later, flush=True)
tell("nothing was printed in between")
wait()
os._exit(0)
