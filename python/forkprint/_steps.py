"""The ``@forkprint.step`` decorator: marks what a worker does between two snapshots.

This file stands alone and imports nothing, because the ``forkprint`` binary carries it into every
zygote, whether the package is installed there or not. Its types are in ``_steps.pyi``.
"""

__all__ = ["step"]

_COROUTINE_OR_GENERATOR = 0x20 | 0x80 | 0x200  # CO_GENERATOR | CO_COROUTINE | CO_ASYNC_GENERATOR


def step(function=None, *, finalize=False):
    """Mark a function as a step of a workload.

    A workload is an ordinary module. What stands at module level is built once, in the zygote.
    The functions marked with this decorator run in every worker, in the order in which the module
    defines them, and forkprint counts the broken pages after each one::

        import forkprint

        rows = [str(i) for i in range(500_000)]

        @forkprint.step
        def iterate():
            for row in rows:
                pass

    With ``finalize=True`` the interpreter is shut down when the function has returned, as part of
    the step; it must then be the last one.

    The function is returned unchanged, so it can still be called and tested.

    Raises TypeError for a function that takes parameters or that would not run when it is called
    (a coroutine or generator function).
    """
    if function is None:
        return lambda function: step(function, finalize=finalize)

    _require_plain_function(function)
    function.__forkprint_step__ = {"finalize": finalize}
    return function


def _require_plain_function(function):
    code = getattr(function, "__code__", None)
    if code is None:
        raise TypeError(f"@forkprint.step marks functions, not {type(function).__name__!r} objects")
    defaults = len(function.__defaults__ or ()) + len(function.__kwdefaults__ or ())
    if code.co_argcount + code.co_kwonlyargcount > defaults:
        raise TypeError(
            f"step {function.__name__}() takes parameters, but a worker calls it without any; "
            "keep its data at module level"
        )
    if code.co_flags & _COROUTINE_OR_GENERATOR:
        raise TypeError(
            f"calling step {function.__name__}() would not run it: it is a coroutine or generator function; "
            "run it inside a plain function (asyncio.run(), list())"
        )
