"""``forkprint.prepare_fork()``: makes the heap of a process ready to be shared with forked workers.

This file stands alone and imports nothing of the package but its compiled half, because the
``forkprint`` binary carries it into interpreters where the package is not installed; there
``_native`` is set before the file is executed. Its types are in ``_prepare.pyi``.
"""

import atexit
import gc
import os
import sys
import time

try:
    _native  # noqa: B018
except NameError:
    from forkprint import _native

__all__ = ["Prepared", "Step", "prepare_fork"]

_WARM, _IMMORTALISE = 1, 2  # flags of _native.prepare_heap
_COUNTS = (
    "objects bytes immortalised already_immortal excluded hashed tagged_types looked_up pages_written peak_bytes "
    "skipped_running skipped_resources skipped_finalizers skipped_weakrefs"
).split()
_NOT_FOLLOWED_WHOLE = {
    "skipped_running": "frames, generators or coroutines",
    "skipped_resources": "files, sockets, locks, threads or the like",
    "skipped_finalizers": "objects with finalizers",
    "skipped_weakrefs": "objects with weak-reference callbacks",
}
_PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")
_FORKED_WITHOUT_EXEC = 0x40  # PF_FORKNOEXEC of linux/sched.h, in the flags of /proc/PID/stat
_MANY_THREADS = 5

_StandIn = type("ForkprintError", (RuntimeError,), {"__module__": "forkprint"})
ForkprintError = getattr(_native, "ForkprintError", _StandIn)


def prepare_fork(roots=None, *, warm=True, collect=True, freeze=True, immortal=True, trim=True, exclude=()):
    """Prepare the memory of this process to stay shared with the workers it is about to fork.

    Call it once, in the process that forks, when everything that the workers share is loaded.
    Each step can be switched off; they run in this order:

    ``collect``   a full collection, so that garbage is neither frozen nor made immortal
    ``warm``      finds out hashes of strings, version tags of types and where attributes of types are found
    ``immortal``  stops reference counts of what ``roots`` lead to from being written (CPython 3.12, 3.13)
    ``freeze``    :func:`gc.freeze`, so that collections in workers pass over what is there now
    ``settle``    one more collection (with ``collect``), so that the first one in a worker writes nothing
    ``trim``      gives free memory back to the system

    ``roots`` is an iterable of objects; None stands for all modules and types. ``exclude`` is an
    iterable, too: a type in it stands for its instances, also those of its subclasses, any other object
    for itself. What is excluded is neither changed nor followed.

    Objects that were made immortal are never freed. Frames, generators, coroutines, files, sockets,
    locks, threads, objects with finalizers and objects whose end a weak reference awaits are left alone.

    Returns a :class:`Prepared`, which says what each step did, or why not. Raises ForkprintError where
    nothing can be prepared: in a forked worker, in an interpreter that is no ordinary CPython. Raises
    TypeError for arguments that cannot be meant.
    """
    roots = None if roots is None else _objects("roots", roots)
    exclude = _objects("exclude", exclude)
    _refuse_interpreter()
    _refuse_worker()
    notes = _notes_on_threads()
    _calls.append(os.getpid())
    collecting = gc.isenabled()
    gc.disable()  # a collection between the steps would only take time
    try:
        steps = [
            _step("collect", collect, _collect),
            _step("warm", warm, _walk, roots, exclude, _WARM),
            _step("immortal", immortal, _immortalise, roots, exclude),
            _step("freeze", freeze, _freeze),
            _step("settle", collect and (freeze or immortal), _collect),
            _step("trim", trim, _trim),
        ]
    finally:
        if collecting:
            gc.enable()
    extensions = _old_abi_extensions() if immortal else ()
    return Prepared(tuple(steps), tuple(notes + _notes(steps, extensions)), extensions)


class _Frozen:
    """Values under the names in ``__slots__``, which stay as they are. (dataclasses would load ``inspect``.)"""

    __slots__ = ()

    def __init__(self, *values):
        for name, value in zip(self.__slots__, values):
            object.__setattr__(self, name, value)

    def __setattr__(self, name, *value):
        raise AttributeError(f"{type(self).__name__} cannot be changed")

    __delattr__ = __setattr__

    def __eq__(self, other):
        return type(other) is type(self) and self._values() == other._values()

    def __hash__(self):
        return hash((type(self), repr(self._values())))

    def __reduce__(self):
        return type(self), self._values()

    def _values(self):
        return tuple(getattr(self, name) for name in self.__slots__)


class Step(_Frozen):
    """What one step of :func:`prepare_fork` did.

    ``objects`` are those that it changed, ``bytes`` those of the objects it looked at, or that it gave
    back to the system; ``pages`` are the pages of this process that it wrote. None: not known.
    ``details`` holds the counts of the step by name.
    """

    __slots__ = ("name", "done", "why_not", "objects", "bytes", "seconds", "pages", "details")

    def to_dict(self):
        """The step as plain values."""
        return {name: getattr(self, name) for name in self.__slots__}

    def _cells(self):
        if not self.done:
            return [self.name, "no", "", "", "", "", self.why_not]
        return [
            self.name,
            "yes",
            "" if self.objects is None else f"{self.objects:,}",
            "" if self.bytes is None else _size(self.bytes),
            "" if self.pages is None else f"{self.pages:,}",
            f"{self.seconds:.3f}",
            "",
        ]

    def __repr__(self):
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__)
        return f"Step({fields})"


class Prepared(_Frozen):
    """What :func:`prepare_fork` did, step by step, and what should be known about it."""

    __slots__ = ("steps", "notes", "old_abi_extensions")

    def step(self, name):
        """The step of that name. Raises KeyError with the names there are."""
        for step in self.steps:
            if step.name == name:
                return step
        raise KeyError(f"no step {name!r}; the steps are {', '.join(repr(step.name) for step in self.steps)}")

    @property
    def seconds(self):
        """How long all steps took."""
        return sum(step.seconds for step in self.steps)

    @property
    def pages(self):
        """The pages that the steps wrote, where they were counted; a page counts once for each step."""
        counted = [step.pages for step in self.steps if step.pages is not None]
        return sum(counted) if counted else None

    @property
    def immortalised(self):
        """How many objects became immortal."""
        return self.step("immortal").details.get("immortalised", 0)

    def summary(self):
        """What was done, in one line."""
        done = []
        if self.step("immortal").done:
            done.append(f"made {self.immortalised:,} objects immortal")
        if self.step("freeze").done:
            done.append(f"froze {self.step('freeze').objects:,}")
        if self.step("warm").done:
            done.append(f"warmed {self.step('warm').objects:,} caches")
        if self.step("collect").done:
            done.append(f"collected {self.step('collect').objects:,}")
        undone = [step.name for step in self.steps if not step.done]
        return (
            f"{', '.join(done) or 'nothing done'} in {self.seconds:.2f} s"
            + (f"; not done: {', '.join(undone)}" if undone else "")
            + (f"; {len(self.notes)} notes" if len(self.notes) > 1 else "; 1 note" if self.notes else "")
        )

    def to_dict(self):
        """All of it as plain values, for :mod:`json`."""
        return {
            "steps": [step.to_dict() for step in self.steps],
            "notes": list(self.notes),
            "old_abi_extensions": list(self.old_abi_extensions),
            "seconds": self.seconds,
            "pages": self.pages,
        }

    def to_json(self, indent=None):
        """All of it as JSON text."""
        import json

        return json.dumps(self.to_dict(), indent=indent)

    def __repr__(self):
        rows = [["step", "done", "objects", "bytes", "pages", "seconds", ""]]
        rows += [step._cells() for step in self.steps]
        widths = [max(len(cell) for cell in column) for column in zip(*rows)]
        lines = [f"<Prepared: {self.summary()}"]
        for row in rows:
            cells = [cell.ljust(width) for cell, width in zip(row[:2], widths)]
            cells += [cell.rjust(width) for cell, width in zip(row[2:-1], widths[2:])]
            lines.append(("  " + "  ".join(cells) + "  " + row[-1]).rstrip())
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join(lines) + ">"


# --- steps: each returns objects, bytes, pages (None: as counted around the step) and details


class _NotDone(Exception):
    """A step cannot be done here; the message says why."""


def _step(name, wanted, do, *arguments):
    if not wanted:
        return Step(name, False, "switched off", None, None, 0.0, None, {})
    counting = _begin_counting()
    started = time.perf_counter()
    try:
        objects, size, pages, details = do(*arguments)
    except (_NotDone, ForkprintError, RuntimeError) as reason:
        return Step(name, False, str(reason), None, None, time.perf_counter() - started, None, {})
    finally:
        counted = _native.count_pages_end() if counting else None
    seconds = time.perf_counter() - started
    return Step(name, True, None, objects, size, seconds, pages if counted is None else counted, details)


def _begin_counting():
    begin = getattr(_native, "count_pages_begin", None)
    return begin is not None and begin()


def _collect():
    found = gc.collect()
    return found, None, None, {"collected": found, "uncollectable": len(gc.garbage)}


def _walk(roots, exclude, flags):
    prepare_heap = getattr(_native, "prepare_heap", None)
    if prepare_heap is None:
        raise _NotDone("the native half of this forkprint cannot prepare a heap")
    details = dict(zip(_COUNTS, prepare_heap(roots, exclude, flags)))
    changed = ("hashed", "tagged_types") if flags == _WARM else ("immortalised",)
    return sum(details[name] for name in changed), details["bytes"], details["pages_written"], details


def _immortalise(roots, exclude):
    if sys.version_info < (3, 12):
        raise _NotDone("CPython %d.%d has no immortal objects; 3.12 and 3.13 have" % sys.version_info[:2])
    if sys.version_info >= (3, 14):
        raise _NotDone("how CPython %d.%d marks immortal objects is not known here" % sys.version_info[:2])
    if hasattr(sys, "gettotalrefcount"):
        raise _NotDone("this is a debug build, which checks reference counts; use a release build")
    return _walk(roots, exclude, _IMMORTALISE)


def _freeze():
    before = gc.get_freeze_count()
    if os.getpid() not in _thaws_in:
        _thaws_in.append(os.getpid())
        atexit.register(_thaw, os.getpid())
    gc.freeze()
    frozen = gc.get_freeze_count()
    return frozen - before, None, None, {"frozen_before": before, "frozen": frozen}


_thaws_in = []


def _thaw(pid):
    # Finalizers of what only frozen cycles hold would not run. In a worker that would copy all its pages.
    if os.getpid() == pid:
        gc.unfreeze()


def _trim():
    trim_heap = getattr(_native, "trim_heap", None)
    if trim_heap is None:
        raise _NotDone("this build of forkprint cannot trim the allocator")
    before = _resident()
    gave_back = trim_heap()
    return None, max(0, before - _resident()), None, {"gave_back": bool(gave_back)}


def _resident():
    with open("/proc/self/statm", "rb", buffering=0) as statm:
        return int(statm.read().split()[1]) * _PAGE_SIZE


# --- what is refused, and what is only noted


def _error(kind, what, where=None, why=None, fix=None):
    parts = [("where: ", where), ("why:   ", why), ("fix:   ", fix)]
    return kind(what + "".join(f"\n  {label}{part}" for label, part in parts if part))


def _objects(argument, given):
    # What is given may answer in any way when it or its type is asked: neither is.
    kind = type(given)
    name = type.__dict__["__name__"].__get__(kind)
    what, where, reason = f"{argument} must be an iterable of objects", f"{argument} of type {name}", None
    if issubclass(kind, (type, str, bytes, bytearray, type(sys), dict)):
        why = "it is one object, and its items would be taken in its place"
    else:
        try:
            return tuple(given)
        except Exception as error:
            why, reason = f"iterating it raised {type(error).__name__}: {error}", error
    one = getattr(given, "__name__", "it") if kind in (type, type(sys)) else "it"
    raise _error(TypeError, what, where, why, f"{argument}=({one},)") from reason


def _refuse_interpreter():
    what, where = "this interpreter's heap cannot be prepared", sys.version.split("\n")[0]
    if sys.implementation.name != "cpython":
        raise _error(ForkprintError, what, where, f"it is {sys.implementation.name}", "use CPython 3.9 or later")
    if not getattr(sys, "_is_gil_enabled", lambda: True)() or "free-threading" in sys.version:
        why = "free-threaded builds count references and collect garbage otherwise"
        raise _error(ForkprintError, what, where, why, "use the default build of CPython")


_calls = []  # the processes that prepared themselves, this one or those it was forked from

_forking = None  # the process that called fork() last, as its child sees it
_forked_from = None  # the process that forked this one; None: none did since this file was loaded


def _before_fork():
    global _forking
    _forking = os.getpid()


def _after_fork():
    global _forked_from
    _forked_from = _forking


os.register_at_fork(before=_before_fork, after_in_child=_after_fork)


def _refuse_worker():
    parent = os.getppid()
    # After a daemon's detour over a process that ends at once, there is nobody left to share with.
    if parent == _forked_from or (_forked_from is None and _is_fork_of_python(parent)):
        raise _error(
            ForkprintError,
            "prepare_fork() was called in a worker, after the fork",
            f"process {os.getpid()}, forked from process {parent}",
            "it writes to every page that it prepares, and here each of them would be copied",
            f"call it in process {parent} before that forks (gunicorn: when_ready, not post_fork)",
        )


def _is_fork_of_python(parent):
    """Whether the interpreter ran before a fork already, though this file was not there to see it."""
    try:
        if os.path.realpath(sys.executable) != os.readlink("/proc/self/exe"):
            return False  # a host that may have forked before it started its interpreter
        if os.readlink(f"/proc/{parent}/exe") != os.readlink("/proc/self/exe"):
            return False
        with open("/proc/self/stat", "rb", buffering=0) as stat:
            return int(stat.read().rpartition(b")")[2].split()[6]) & _FORKED_WITHOUT_EXEC != 0
    except (OSError, ValueError, IndexError):
        return False


def _notes_on_threads():
    threading = sys.modules.get("threading")
    notes, names = [], []
    if threading is not None:
        here = threading.current_thread()
        names = [thread.name for thread in threading.enumerate() if thread is not here]
        if here is not threading.main_thread():
            notes.append(
                f"called in thread {here.name!r}: a process forked there has that thread alone, as its main thread"
            )
    try:
        others = len(os.listdir("/proc/self/task")) - 1
    except OSError:
        others = len(names)
    if others:
        shown = ", ".join(repr(name) for name in names[:_MANY_THREADS])
        unnamed = others - min(len(names), _MANY_THREADS)
        if unnamed > 0:
            shown += f"{' and ' if shown else ''}{unnamed} more"
        notes.append(
            f"other threads run ({shown}): workers are forked without them, with their locks as they were; "
            "start threads after the fork"
        )
    return notes


def _old_abi_extensions():
    find = getattr(_native, "old_abi_extensions", None)
    paths = find() if find is not None else ()
    names = {}
    for name, module in list(sys.modules.items()):
        if type(module) is type(sys):
            names[vars(module).get("__file__")] = name
    return tuple(names.get(path, path) for path in paths)


def _notes(steps, extensions):
    steps = {step.name: step for step in steps}
    notes = []
    if steps["immortal"].why_not not in (None, "switched off"):
        notes.append(
            f"{steps['immortal'].why_not}: reading an object still writes its reference count and un-shares its "
            "page; keep large read-only data in few objects (array, bytes, numpy), or run CPython 3.12 or 3.13"
        )
    collected, frozen = steps["collect"].objects or 0, steps["freeze"].objects or 0
    if steps["freeze"].done and collected > 1000 and collected * 20 > frozen:
        notes.append(
            f"{collected:,} objects were garbage: workers will fill the holes that they left, in pages that they "
            "share; call gc.disable() early while the program loads, or gc.collect() before it loads its data"
        )
    details = steps["immortal"].details
    if _calls.count(os.getpid()) > 1:
        notes.append("called before in this process: the steps tell what was new since")
    left = [f"{details[name]:,} {what}" for name, what in _NOT_FOLLOWED_WHOLE.items() if details.get(name)]
    if left:
        notes.append("left mortal, because something depends on their end: " + ", ".join(left))
    if extensions:
        notes.append(
            "built for the stable ABI of CPython 3.11 or older, and so still writing reference counts of immortal "
            "objects: " + ", ".join(extensions) + "; a newer build of them does not"
        )
    return notes


def _size(count):
    for unit, factor in (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} B"
