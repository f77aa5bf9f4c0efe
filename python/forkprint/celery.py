"""Celery: prepares the memory of a worker's main process right before it forks its pool.

In the module of the application::

    app = Celery("shop")
    forkprint.celery.install(app)

It has an effect with the prefork pool alone: the others fork nothing.
"""

import os
from typing import TYPE_CHECKING, Any, List

from forkprint import ForkprintError, prepare_fork

if TYPE_CHECKING:
    from forkprint import Prepared

__all__ = ["install"]


class _Hook:
    """Prepares once, when the first process of the pool is about to be created."""

    def __init__(self, app: Any, options: Any) -> None:
        self.app, self.options, self.done_in = app, options, 0
        self.prepared: "List[Prepared]" = []

    def __call__(self, **_: Any) -> None:
        from celery.utils.log import get_logger

        # The signal comes for every process, also for those that replace others; what was prepared stays so.
        if self.done_in == os.getpid():
            return
        self.done_in = os.getpid()
        log = get_logger("forkprint.celery")
        try:
            prepared = prepare_fork(**self.options)
        except ForkprintError as error:
            log.warning("forkprint: %s", error)
            return
        self.prepared.append(prepared)
        log.info("forkprint: %s", prepared.summary())
        for note in prepared.notes:
            log.info("forkprint: note: %s", note)


def install(app: Any, **options: Any) -> None:
    """Prepare the main process of a worker of ``app`` before it forks its pool, and log what was done.

    The options are those of :func:`forkprint.prepare_fork`. Calling it again replaces the options. Where
    nothing can be prepared, that is logged, and the worker goes on as it would have without forkprint.
    """
    from celery import signals

    # Told in the main process, after tasks were imported. Celery 5.1 and older have the first alone at hand.
    signal = getattr(signals, "worker_before_create_process", signals.worker_init)
    signal.disconnect(dispatch_uid="forkprint.celery")
    signal.connect(_Hook(app, options), weak=False, dispatch_uid="forkprint.celery")
