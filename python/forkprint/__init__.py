"""forkprint: which memory pages pre-forked workers stop sharing after ``fork()``, and what that costs.

Workers forked from one process share its memory until one of them writes to a page; the kernel
then gives the writer a copy. forkprint finds every such *broken* page.

>>> import forkprint
>>> forkprint.snapshot()                    # this process, by kind of memory
>>> forkprint.family(1234)                  # a server and its workers: who pays for what
>>> forkprint.run("workload.py", workers=2) # a workload, measured step by step

A workload is a module whose functions are marked with :func:`step`.

>>> forkprint.prepare_fork()                # in the process that forks, before it does

keeps much of that memory shared. Servers call it by a hook: :mod:`forkprint.gunicorn`,
:mod:`forkprint.celery`, :mod:`forkprint.uwsgi` and :mod:`forkprint.multiprocessing`.
"""

from typing import TYPE_CHECKING, Any, List

from forkprint._native import ForkprintError, __version__
from forkprint._steps import step

if TYPE_CHECKING:
    from forkprint._explained import Explained, Ranked
    from forkprint._observe import Family, Member, Snapshot, family, snapshot
    from forkprint._prepare import Prepared, prepare_fork
    from forkprint._record import Finding, Reconciliation, Recording, Step, Worker, WorkerStep, Zygote, load, run

__all__ = [
    "Explained",
    "Family",
    "Finding",
    "ForkprintError",
    "Member",
    "Prepared",
    "Reconciliation",
    "Ranked",
    "Recording",
    "Snapshot",
    "Step",
    "Worker",
    "WorkerStep",
    "Zygote",
    "__version__",
    "family",
    "load",
    "prepare_fork",
    "run",
    "snapshot",
    "step",
]

_EXPLAINED = {"Explained", "Ranked"}
_OBSERVE = {"Family", "Member", "Snapshot", "family", "snapshot"}
_PREPARE = {"Prepared", "prepare_fork"}


def __getattr__(name: str) -> Any:
    # A workload imports this module in the zygote, for the decorator alone: what it does not use is
    # not loaded there, because every loaded module is memory that the workers inherit.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _OBSERVE:
        from forkprint import _observe as module
    elif name in _PREPARE:
        from forkprint import _prepare as module  # type: ignore[no-redef]
    elif name in _EXPLAINED:
        from forkprint import _explained as module  # type: ignore[no-redef]
    else:
        from forkprint import _record as module  # type: ignore[no-redef]
    return getattr(module, name)


def __dir__() -> List[str]:
    return sorted(__all__)
