"""uWSGI: prepares the master's memory when the application is loaded, right before workers are forked.

On the last line of the module that uWSGI loads::

    forkprint.uwsgi.prepare()

uWSGI has no hook between the two. Without ``master`` and with ``lazy-apps`` every worker loads the
application itself and shares none of it: then nothing is prepared, and that is logged.
"""

from typing import TYPE_CHECKING, Any, Optional

from forkprint import ForkprintError, prepare_fork

if TYPE_CHECKING:
    from forkprint import Prepared

__all__ = ["prepare"]


def prepare(**options: Any) -> "Optional[Prepared]":
    """Prepare the process that loads the application, where uWSGI forks its workers from it.

    The options are those of :func:`forkprint.prepare_fork`. What was done goes to uWSGI's log in a line,
    with a line for each note. Outside of uWSGI (the module is imported by a test, a shell) and in
    workers, nothing is done and None is returned.
    """
    try:
        import uwsgi  # type: ignore[import-untyped,unused-ignore]
    except ImportError:
        return None
    if uwsgi.worker_id() != 0 or "lazy-apps" in uwsgi.opt or "lazy" in uwsgi.opt:
        _log(uwsgi, "each worker loads the application itself (lazy-apps) and shares none of it; nothing was prepared")
        return None
    try:
        prepared = prepare_fork(**options)
    except ForkprintError as error:
        _log(uwsgi, str(error))
        return None
    _log(uwsgi, prepared.summary())
    for note in prepared.notes:
        _log(uwsgi, f"note: {note}")
    return prepared


def _log(uwsgi: Any, message: str) -> None:
    uwsgi.log(f"forkprint: {message}")
