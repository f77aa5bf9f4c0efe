import gc
import json
import mmap
import os
import pickle
import subprocess
import sys
import types

import pytest

import forkprint
from forkprint import _native

IMMORTAL = (3, 12) <= sys.version_info < (3, 14)
STEPS = ["collect", "warm", "immortal", "freeze", "settle", "trim"]
needs_immortal = pytest.mark.skipif(not IMMORTAL, reason="CPython 3.12 and 3.13 have immortal objects")


def python(program, *options, **more):
    """Runs a program in a fresh interpreter: what is prepared stays prepared."""
    done = subprocess.run(
        [sys.executable, *options, "-c", program], capture_output=True, text=True, timeout=120, **more
    )
    assert done.returncode == 0 and not done.stderr, done.stdout + done.stderr
    return done.stdout


PREPARED = """
import forkprint, gc
kept = [{"number": n, "name": f"name-{n}", "tags": [str(n)]} for n in range(20_000)]
gc.disable()
cycle = []
cycle.append(cycle)
del cycle
prepared = forkprint.prepare_fork()
gc.enable()
"""


def test_each_step_reports_itself():
    printed = python(PREPARED + "print(prepared.to_json()); print(prepared)")
    first, table = printed.split("\n", 1)
    told = json.loads(first)
    steps = {step["name"]: step for step in told["steps"]}
    assert list(steps) == STEPS
    for step in steps.values():
        assert step["done"] == (step["why_not"] is None), step
        assert (step["name"] == "immortal" and not IMMORTAL) == (not step["done"]), step
        assert step["name"] in table
    assert steps["collect"]["objects"] >= 1
    assert steps["warm"]["details"]["hashed"] >= 20_000
    assert steps["warm"]["bytes"] > 20_000 * 100
    frozen = steps["freeze"]["details"]
    assert steps["freeze"]["objects"] == frozen["frozen"] - frozen["frozen_before"] > 20_000
    if IMMORTAL:
        assert steps["immortal"]["objects"] > 60_000 and steps["immortal"]["pages"] > 1_000
    else:
        assert "reading an object still writes its reference count" in table
    assert told["seconds"] == pytest.approx(sum(step["seconds"] for step in steps.values()))


def test_each_step_can_be_switched_off():
    program = """
import forkprint, gc
off = {name: False for name in ("warm", "collect", "freeze", "immortal", "trim")}
frozen = gc.get_freeze_count()
assert not any(step.done for step in forkprint.prepare_fork(**off).steps)
assert gc.get_freeze_count() == frozen
for name in off:
    prepared = forkprint.prepare_fork((), **{**off, name: True})
    done = [step.name for step in prepared.steps if step.done]
    print(name, done)
    assert set(done) <= {name} and prepared.step(name).why_not != "switched off", prepared
    assert all(step.why_not == "switched off" for step in prepared.steps if step.name != name)
"""
    assert "freeze ['freeze']" in python(program)


def test_what_was_there_is_frozen_and_the_collector_stays_as_it_was():
    program = PREPARED + """
assert gc.get_freeze_count() >= 20_000
forkprint.prepare_fork()
assert gc.isenabled()
gc.disable()
forkprint.prepare_fork()
assert not gc.isenabled()
"""
    python(program)


def test_the_program_computes_what_it_would_have():
    program = """
import collections, copy, dataclasses, decimal, enum, functools, json, pickle, random, sys
PREPARE
class Colour(enum.Enum):
    RED = 1
@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    y: tuple
random.seed(7)
data = {f"key{n}": [n, str(n), Point(n, (n,)), {n: Colour.RED}] for n in range(5_000)}
PREPARE
data["key1"].append(data)
data["new"] = "v" * 7
del data["key2"], data["key1"][-1]
moved = collections.Counter(key[3:4] for key in data)
print(json.dumps([list(map(repr, row)) for row in data.values()])[-200:], sorted(moved.items()))
print(hash((1, "a")) == hash((1, "a")), pickle.loads(pickle.dumps(data)) == data, copy.deepcopy(data) == data)
@functools.lru_cache
def fibonacci(n): return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)
PREPARE
print(fibonacci(90), sum(decimal.Decimal(n) for n in range(9)), random.random(), Colour["RED"])
Point.norm = lambda self: self.x + 1
print(Point(1, ()).norm(), Point(2, ()) == Point(2, ()), sorted(data)[:5])
"""
    plain = python(program.replace("PREPARE", ""))
    prepared = python(program.replace("PREPARE", "import forkprint; forkprint.prepare_fork()"))
    assert prepared == plain and len(plain.splitlines()) == 4


def test_the_interpreter_exits_cleanly(tmp_path):
    program = PREPARED + f"""
import atexit, os
atexit.register(lambda: print("atexit ran in", os.getpid() == zygote))
zygote = os.getpid()
class Closing:
    def __del__(self, getpid=os.getpid, zygote=zygote): print("finalized in", getpid() == zygote)
closing = Closing()
loop = [Closing()]
loop.append(loop)
file = open({str(tmp_path / "file")!r}, "w")
file.write("flushed")
forkprint.prepare_fork()
pid = os.fork()
if pid == 0:
    raise SystemExit(3)
assert os.WEXITSTATUS(os.waitpid(pid, 0)[1]) == 3
"""
    printed = python(program).splitlines()
    assert printed.count("atexit ran in True") == printed.count("atexit ran in False") == 1
    assert printed.count("finalized in True") == 2
    assert (tmp_path / "file").read_text().startswith("flushed")


def test_a_second_call_finds_what_is_new():
    program = PREPARED + """
more = [[n, f"more-{n}"] for n in range(3_000)]
again = forkprint.prepare_fork()
assert any("called before" in note for note in again.notes)
assert not any("called before" in note for note in prepared.notes)
assert 2_900 <= again.step("freeze").objects < 10_000, again
assert 3_000 <= again.step("warm").details["hashed"] < 10_000, again
assert again.immortalised in range(6_000, 20_000) or not again.step("immortal").done, again
"""
    python(program)


@needs_immortal
def test_roots_and_exclusions_are_respected():
    program = """
import sys, forkprint
IMMORTAL = sys.getrefcount(None)
class Kept: pass
class Sub(Kept): pass
class Other: pass
kept, sub, other, inside, alone = Kept(), Sub(), Other(), ["inside"], ["alone"]
kept.inside = inside
roots = [other, kept, sub, alone]
loop = [other]
loop.append(loop)
off = dict(warm=False, freeze=False, collect=False, trim=False)
prepared = forkprint.prepare_fork(iter([roots, loop]), exclude=[Kept, alone], **off)
assert prepared.step("immortal").details["excluded"] == 3, prepared
for thing in (other, roots, loop, Other):
    assert sys.getrefcount(thing) == IMMORTAL, thing
for thing in (kept, sub, inside, alone):
    assert sys.getrefcount(thing) < 100, thing
assert sys.getrefcount(sys.modules["json"] if "json" in sys.modules else inside) < 1000
"""
    python(program)


@needs_immortal
def test_what_depends_on_its_end_stays_mortal():
    program = """
import sys, socket, threading, weakref, forkprint
IMMORTAL = sys.getrefcount(None)
class Finalized:
    def __del__(self): ended.append("finalized")
class Watched: pass
ended = []
def generate():
    yield 1
async def coroutine(): pass
finalized, watched, generator, running = Finalized(), Watched(), generate(), coroutine()
next(generator)
reference = weakref.ref(watched, lambda _: ended.append("watched"))
things = [finalized, watched, generator, running, open("/dev/null"), socket.socket(), threading.Lock()]
prepared = forkprint.prepare_fork()
for thing in things:
    assert sys.getrefcount(thing) < 100, thing
things[4].close(); things[5].close(); running.close()
del thing
things.clear()
del finalized, watched
assert sorted(ended) == ["finalized", "watched"]
note = [note for note in prepared.notes if "left mortal" in note][0]
assert "finalizers" in note and "generators" in note and "sockets" in note and "weak-reference" in note, note
"""
    python(program)


# --- what a worker breaks after it

READ_ONLY = ["refcount_iteration", "dict_iteration", "nested_containers", "gc_collect", "hash_caching"]
READ_ONLY += ["objects_with_attributes"]


@needs_immortal
@pytest.mark.parametrize("name", READ_ONLY)
def test_reading_breaks_almost_nothing_any_more(name, shipped, tmp_path):
    source = shipped(name).read_text()
    # Names of the files are the same, so that all else is.
    for folder, text in (("plain", source), ("prepared", source + "\n\nforkprint.prepare_fork()\n")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{name}.py").write_text(text)
    broken = {}
    for folder in ("plain", "prepared"):
        recording = forkprint.run(tmp_path / folder / f"{name}.py", workers=2, witness="none")
        assert recording.complete and recording.error is None
        broken[folder] = sum(worker.broken for worker in recording.steps[-1].workers)
    print(name, broken)
    assert broken["plain"] > 5_000
    assert broken["prepared"] < 0.02 * broken["plain"], broken


# --- bad input


def test_a_call_in_a_worker_is_refused():
    program = """
import forkprint, os, sys
forkprint.prepare_fork
pid = os.fork()
if pid == 0:
    try:
        forkprint.prepare_fork()
    except forkprint.ForkprintError as error:
        text = str(error)
        assert "in a worker" in text and "where: process" in text and "why:" in text and "fix:" in text
        os._exit(9)
    os._exit(1)
assert os.WEXITSTATUS(os.waitpid(pid, 0)[1]) == 9
"""
    python(program)
    python(program.replace("forkprint.prepare_fork\n", "\n", 1).replace("import forkprint, ", "import ").replace(
        "    try:", "    import forkprint\n    try:"))


def test_a_daemon_is_no_worker():
    program = """
import forkprint, os
forkprint.prepare_fork
read, write = os.pipe()
if os.fork() == 0:
    if os.fork() == 0:
        os.close(read)
        parent = os.getppid()
        while os.getppid() == parent and os.path.exists(f"/proc/{parent}/exe"):
            os.sched_yield()
        try:
            os.write(write, forkprint.prepare_fork().summary().encode())
        finally:
            os._exit(0)
    os._exit(0)
os.wait()
os.close(write)
with open(read) as answer:
    text = answer.read()
assert "froze" in text, text
"""
    python(program)


def test_threads_are_named_in_a_note():
    program = """
import forkprint, threading
stop = threading.Event()
threading.Thread(target=stop.wait, name="poller").start()
from_main = forkprint.prepare_fork(())
reports = []
thread = threading.Thread(target=lambda: reports.append(forkprint.prepare_fork(())), name="starter")
thread.start(); thread.join()
stop.set()
assert any("other threads run ('poller')" in note for note in from_main.notes), from_main
assert any("called in thread 'starter'" in note for note in reports[0].notes), reports
assert any("'poller'" in note and "'MainThread'" in note for note in reports[0].notes), reports
"""
    python(program)


class Hostile:
    def __getattribute__(self, name):
        raise RuntimeError(name)


class Raising:
    def __iter__(self):
        raise RuntimeError("not today")


class Half:
    def __iter__(self):
        yield 1
        raise ZeroDivisionError("half way")


@pytest.mark.parametrize("argument", ["roots", "exclude"])
@pytest.mark.parametrize(
    "given, why",
    [
        (7, "TypeError: 'int' object is not iterable"),
        (lambda: Hostile(), "is not iterable"),
        (dict, "it is one object"),
        ("text", "it is one object"),
        ({"a": 1}, "it is one object"),
        (os, "it is one object"),
        (Raising(), "RuntimeError: not today"),
        (Half(), "ZeroDivisionError: half way"),
    ],
)
def test_arguments_that_cannot_be_meant_are_refused(argument, given, why):
    given = given() if isinstance(given, types.FunctionType) else given  # pytest may not ask it anything
    frozen = gc.get_freeze_count()
    with pytest.raises(TypeError, match=f"{argument} must be an iterable of objects") as error:
        forkprint.prepare_fork(**{argument: given})
    text = str(error.value)
    assert why in text and f"where: {argument} of type {type(given).__name__}" in text and "fix:   " in text
    if given is dict or given is os:
        assert f"fix:   {argument}=({given.__name__},)" in text
    assert gc.get_freeze_count() == frozen


def test_unknown_options_are_refused():
    with pytest.raises(TypeError, match="unexpected keyword argument 'immortality'"):
        forkprint.prepare_fork(immortality=True)


HOSTILE = """
import forkprint, sys, types, weakref, array
calls = []
class Meta(type):
    def __getattribute__(cls, name): calls.append(name); raise RuntimeError(name)
    def __instancecheck__(cls, other): calls.append("instancecheck"); raise RuntimeError
    def __subclasscheck__(cls, other): calls.append("subclasscheck"); raise RuntimeError
    def __eq__(cls, other): calls.append("eq"); raise RuntimeError
    def __hash__(cls): calls.append("hash"); raise RuntimeError
class Hostile(metaclass=Meta):
    def __getattribute__(self, name): calls.append(name); raise RuntimeError(name)
    def __eq__(self, other): calls.append("eq"); raise RuntimeError
    def __hash__(self): calls.append("hash"); raise RuntimeError
    def __repr__(self): calls.append("repr"); raise RuntimeError
    def __len__(self): calls.append("len"); raise RuntimeError
    def __bool__(self): calls.append("bool"); raise RuntimeError
class Text(str):
    def __hash__(self): calls.append("hash"); return 1
    def __eq__(self, other): calls.append("eq"); return NotImplemented
class Target: pass
class Pretends:
    __class__ = property(lambda self: calls.append("class") or int)
class Module(types.ModuleType):
    def __getattr__(self, name): calls.append(name); raise RuntimeError(name)
    __file__ = property(lambda self: calls.append("file"))
target = Target()
deep = None
for _ in range(200_000):
    deep = [deep]
names = {Text("name"): 1}
knot = {}
knot["knot"] = (knot, [knot])
sys.modules["hostile"] = Module("hostile")
sys.modules["odd"] = 7
things = [Hostile, Hostile(), names, weakref.proxy(target), Pretends(), deep, knot,
          list(range(300_000)), memoryview(array.array("d", [1.0])), type("Sub", (Target,), {Text("x"): 1})]
calls.clear()
prepared = forkprint.prepare_fork(things)
again = forkprint.prepare_fork(exclude=[Hostile, things[1], things[3]])
assert calls == [], calls
assert len(prepared.steps) == 6
del sys.modules["hostile"], sys.modules["odd"]
while deep:
    deep = deep[0]
print("unharmed")
"""


def test_hostile_cyclic_and_huge_roots_are_only_read():
    assert python(HOSTILE) == "unharmed\n"


# --- the report


def test_a_report_is_a_value():
    prepared = forkprint.prepare_fork((), freeze=False, collect=False, immortal=False)
    assert prepared == pickle.loads(pickle.dumps(prepared)) and hash(prepared) == hash(pickle.loads(pickle.dumps(prepared)))
    with pytest.raises(AttributeError, match="Prepared cannot be changed"):
        prepared.notes = ()
    with pytest.raises(AttributeError, match="Step cannot be changed"):
        del prepared.steps[0].name
    with pytest.raises(KeyError, match="no step 'freze'; the steps are 'collect', 'warm'"):
        prepared.step("freze")
    assert prepared.step("freeze").why_not == "switched off"
    assert repr(prepared).startswith("<Prepared: ") and "freeze" in repr(prepared)
    assert prepared.to_dict()["steps"][3] == prepared.step("freeze").to_dict()


def test_importing_forkprint_loads_nothing_of_it():
    program = "import forkprint, sys; print([n for n in sys.modules if n.startswith('forkprint')])"
    loaded = python(program)
    assert "_prepare" not in loaded and "multiprocessing" not in loaded
    program = "import sys; before = set(sys.modules); import forkprint; forkprint.prepare_fork; print(set(sys.modules) - before)"
    loaded = eval(python(program))
    assert {name.partition(".")[0] for name in loaded} <= {"forkprint", "typing", "collections", "re", "enum"} or not (
        loaded & {"json", "inspect", "dataclasses"}
    )


def test_the_file_stands_alone_beside_any_native_half():
    path = os.path.join(os.path.dirname(forkprint.__file__), "_prepare.py")
    with open(path) as file:
        source = file.read()
    module = types.ModuleType("alone")
    module._native = types.SimpleNamespace()
    exec(compile(source, path, "exec"), vars(module))
    prepared = module.prepare_fork(freeze=False, collect=False)
    assert "cannot prepare a heap" in prepared.step("warm").why_not and "cannot trim" in prepared.step("trim").why_not
    assert issubclass(module.ForkprintError, RuntimeError)

    def fail(*_):
        raise RuntimeError("there was no memory")

    module._native.prepare_heap = fail
    assert module.prepare_fork(freeze=False, collect=False).step("warm").why_not == "there was no memory"
    module._native.old_abi_extensions = lambda: ["/somewhere/old.abi3.so", vars(forkprint._native)["__file__"]]
    module._native.prepare_heap = lambda *_: (0,) * 14
    prepared = module.prepare_fork(freeze=False, collect=False)
    assert prepared.old_abi_extensions == ("/somewhere/old.abi3.so", "forkprint._native")
    assert any("still writing reference counts" in note for note in prepared.notes)


def test_pages_are_counted_as_many_as_were_written():
    if not _native.count_pages_begin():
        pytest.skip("this kernel does not track writes")
    quiet = _native.count_pages_end()  # what counting itself writes: lists of areas and pages
    pages = 500
    memory = bytearray(b"\x01" * (pages * mmap.PAGESIZE))
    assert _native.count_pages_begin()
    for page in range(pages):
        memory[page * mmap.PAGESIZE] = 2
    counted = _native.count_pages_end()
    assert quiet < 300, "holes of areas are no pages"
    assert pages <= counted <= pages + quiet + 64
