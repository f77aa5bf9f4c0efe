"""gunicorn: prepares the master's memory right before it forks its first worker.

With no configuration of your own::

    gunicorn -c python:forkprint.gunicorn shop:app

In a configuration file::

    preload_app = True
    from forkprint.gunicorn import when_ready

In a hook of your own, with options of :func:`forkprint.prepare_fork`::

    def when_ready(server):
        forkprint.gunicorn.prepare(server, exclude=(Connection,))

Without ``preload_app`` the master holds no application, and there is little to prepare.
"""

from typing import TYPE_CHECKING, Any, Optional

from forkprint import ForkprintError, prepare_fork

if TYPE_CHECKING:
    from forkprint import Prepared

__all__ = ["preload_app", "prepare", "when_ready"]

#: The setting of gunicorn: the master loads the application, and workers inherit it.
preload_app = True


def prepare(server: Any, **options: Any) -> "Optional[Prepared]":
    """Prepare the master and log in one line what was done, and a line for each note.

    ``server`` is the arbiter that gunicorn gives to its hooks; the options are those of
    :func:`forkprint.prepare_fork`. Where nothing can be prepared, that is logged, None is returned, and
    the server goes on as it would have without forkprint.
    """
    try:
        prepared = prepare_fork(**options)
    except ForkprintError as error:
        server.log.warning("forkprint: %s", error)
        return None
    server.log.info("forkprint: %s", prepared.summary())
    if not server.cfg.preload_app:
        server.log.warning(
            "forkprint: preload_app is off: each worker loads the application itself and shares none of it; "
            "set preload_app = True"
        )
    for note in prepared.notes:
        server.log.info("forkprint: note: %s", note)
    return prepared


def when_ready(server: Any) -> None:
    """The hook of gunicorn: the application is loaded, and no worker was forked yet."""
    prepare(server)
