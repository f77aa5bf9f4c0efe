"""multiprocessing: prepares the memory of a process right before it forks its first worker.

A context in place of that of :mod:`multiprocessing`, also for executors::

    context = forkprint.multiprocessing.get_context()
    with context.Pool(8) as pool: ...
    with ProcessPoolExecutor(mp_context=context) as executor: ...

Or one call for the whole program, which prepares before its first fork, whoever makes it::

    forkprint.multiprocessing.prepare_before_fork()
"""

import os
from multiprocessing import context as _contexts
from typing import TYPE_CHECKING, Any, List, Optional, Sequence, Union

from forkprint import prepare_fork

if TYPE_CHECKING:
    from forkprint import Prepared

__all__ = ["ForkContext", "Pending", "get_context", "prepare_before_fork"]

#: What a forkserver imports last: it prepares that process.
_IN_FORKSERVER = "forkprint._forkserver"


class Pending:
    """A preparation that waits for the first fork. ``prepared`` is None until then."""

    def __init__(self, options: Any) -> None:
        unknown = sorted(set(options) - {"roots", *(prepare_fork.__kwdefaults__ or ())})
        if unknown:
            raise TypeError(f"prepare_fork() has no option {', '.join(map(repr, unknown))}")
        self.prepared: "Optional[Prepared]" = None
        self._options = options
        self._waits_in: Optional[int] = os.getpid()

    def prepare(self) -> None:
        """Prepare now, unless it was done, or this is a worker."""
        if self._waits_in == os.getpid():
            self._waits_in = None
            self.prepared = prepare_fork(**self._options)


class ForkContext(_contexts.ForkContext):
    """The context of the method fork; it prepares this process when its first worker is started."""

    def __init__(self, options: Any) -> None:
        super().__init__()
        self.pending = pending = Pending(options)

        class Process(_contexts.ForkProcess):
            """A process of this context."""

            def start(self) -> None:
                pending.prepare()
                super().start()

        # Pools and executors take the class from the context.
        self.Process = Process  # type: ignore[misc]

    @property
    def prepared(self) -> "Optional[Prepared]":
        """What was prepared; None before the first worker is started."""
        return self.pending.prepared


def get_context(
    method: str = "fork", *, preload: Sequence[str] = (), **options: Any
) -> "Union[ForkContext, _contexts.ForkServerContext]":
    """A context of :mod:`multiprocessing` whose workers are forked from a prepared process.

    With ``"fork"`` this process is prepared when its first worker is started; the options are those of
    :func:`forkprint.prepare_fork`, and :attr:`ForkContext.prepared` tells what was done. With
    ``"forkserver"`` it is the server, after it has imported the modules named in ``preload``; that
    must be said before the server runs, and holds for all of this process's contexts.
    Raises ValueError for other methods: ``"spawn"`` shares nothing.
    """
    if method == "fork":
        if preload:
            raise ValueError("preload= names what a forkserver imports; with fork, workers have what is imported here")
        return ForkContext(options)
    if method != "forkserver":
        raise ValueError(f"workers started by {method!r} share nothing with this process; use 'fork' or 'forkserver'")
    if options:
        raise TypeError(f"options are not handed on to a forkserver: {', '.join(sorted(options))}")
    from multiprocessing import forkserver

    if getattr(forkserver._forkserver, "_forkserver_pid", None) is not None:
        raise ValueError("the forkserver runs already and was not prepared; call get_context() before the first worker")
    context = _contexts.ForkServerContext()
    context.set_forkserver_preload([*preload, _IN_FORKSERVER])
    return context


_waiting: List[Pending] = []


def _prepare_waiting() -> None:
    while _waiting:
        _waiting.pop().prepare()


def prepare_before_fork(**options: Any) -> Pending:
    """Prepare this process right before its first fork by Python (``os.fork()``, a Process, a Pool).

    The options are those of :func:`forkprint.prepare_fork`; what that raises is printed by Python, and
    the fork goes on. What runs another program (:mod:`subprocess`) does not count.
    Calling it again before that fork replaces the options.
    """
    pending = Pending(options)
    if _waiting:
        _waiting[:] = [pending]
        return pending
    _waiting.append(pending)
    if not _registered:
        os.register_at_fork(before=_prepare_waiting)
        _registered.append(True)
    return pending


_registered: List[bool] = []
