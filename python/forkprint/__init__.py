"""forkprint: which memory pages pre-forked workers stop sharing after ``fork()``, and what that costs.

Workers forked from one process share its memory until one of them writes to a page; the kernel
then gives the writer a copy. forkprint finds every such *broken* page.

>>> import forkprint
>>> forkprint.snapshot()                    # this process, by kind of memory
>>> forkprint.family(1234)                  # a server and its workers: who pays for what
"""

from forkprint._native import ForkprintError, __version__
from forkprint._observe import Family, Member, Snapshot, family, snapshot
from forkprint._steps import step

__all__ = [
    "Family",
    "ForkprintError",
    "Member",
    "Snapshot",
    "__version__",
    "family",
    "snapshot",
    "step",
]
