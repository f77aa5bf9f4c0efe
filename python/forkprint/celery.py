"""Celery: prepares the memory of a worker's main process right before it forks its pool.

In the module of the application::

    app = Celery("shop")
    forkprint.celery.install(app)

It has an effect with the prefork pool alone: the others fork nothing.
"""

import os
from typing import TYPE_CHECKING, Any, Optional

from forkprint import ForkprintError, prepare_fork

if TYPE_CHECKING:
    from forkprint import Prepared

__all__ = ["install"]


class _Hook:
    """Waits, from the beginning of a worker, for the first fork of its main process."""

    def __init__(self, options: Any) -> None:
        self.options, self.waits_in = options, 0
        self.registered = False

    def __call__(self, **_: Any) -> None:
        self.waits_in = os.getpid()
        # A signal of Celery's own comes before a fork, too, but not with transports that block.
        if not self.registered:
            self.registered = True
            os.register_at_fork(before=self.prepare)

    def prepare(self) -> "Optional[Prepared]":
        if self.waits_in != os.getpid():
            return None
        self.waits_in = 0
        from celery.utils.log import get_logger  # type: ignore[import-untyped,unused-ignore]

        log = get_logger("forkprint.celery")
        try:
            prepared = prepare_fork(**self.options)
        except ForkprintError as error:
            log.warning("forkprint: %s", error)
            return None
        log.info("forkprint: %s", prepared.summary())
        for note in prepared.notes:
            log.info("forkprint: note: %s", note)
        return prepared


def install(app: Any, **options: Any) -> None:
    """Prepare the main process of a worker of ``app`` before it forks its pool, and log what was done.

    The options are those of :func:`forkprint.prepare_fork`. Calling it again replaces the options. Where
    nothing can be prepared, that is logged, and the worker goes on as it would have without forkprint.
    """
    from celery import signals  # type: ignore[import-untyped,unused-ignore]

    signals.worker_init.disconnect(dispatch_uid="forkprint.celery")
    signals.worker_init.connect(_Hook(options), weak=False, dispatch_uid="forkprint.celery")
