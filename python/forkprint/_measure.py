"""What children forked from this very process stop sharing with it: :func:`measure`."""

import os
import select
import signal
import struct
import sys
import time
import traceback
import warnings
from typing import Any, Callable, List, Optional, Tuple

from forkprint import _native
from forkprint._native import ForkprintError
from forkprint._record import Recording, _recording

__all__ = ["ChildFailed", "measure"]

#: Exceptions of a child, told in words: what kind it is, and its text.
Describe = Callable[[BaseException], Tuple[str, str]]

_LENGTH = struct.Struct("=II")


class ChildFailed(ForkprintError):
    """A forked child raised, ended or did not end in time. The message has its traceback."""

    def __init__(self, worker: int, kind: str, text: str) -> None:
        super().__init__(f"worker {worker}: {text}")
        self.worker = worker
        self.kind = kind
        self.text = text


def measure(
    function: Callable[[], Any], *, workers: int = 2, timeout: float = 300.0, title: Optional[str] = None
) -> Recording:
    """Fork this process into ``workers`` children, call ``function`` in each, and measure what they broke.

    All that exists before the call is what the children inherit. The recording has two steps: ``fork``,
    when the children stand still after the fork, and one with the title, when all have made the call.
    They do so one after the other, then end without any exit handler; what ``function`` does to memory
    is lost with them. In between nobody runs, as far as forkprint can tell: other threads of this
    process go on and may write.

    Raises ChildFailed when ``function`` raises in a child, a child ends, or the call takes longer than
    ``timeout`` seconds; ForkprintError when nothing can be measured.
    """
    name = title or getattr(function, "__qualname__", "function")
    return _measure(function, workers, timeout, name, _plain)


def _plain(error: BaseException) -> Tuple[str, str]:
    return "failed", "".join(traceback.format_exception(type(error), error, error.__traceback__))


def _measure(function: Callable[[], Any], workers: int, timeout: float, name: str, describe: Describe) -> Recording:
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise ForkprintError(f"cannot measure {workers!r} workers\n  fix:   workers=1 or more")
    if not timeout > 0:
        raise ForkprintError(f"cannot wait {timeout!r} seconds\n  fix:   timeout=300.0, in seconds")
    for stream in (sys.stdout, sys.stderr):
        # What is still in a buffer would be written by every child as well.
        if stream is not None:
            stream.flush()
    version = f"CPython {sys.version_info[0]}.{sys.version_info[1]}.{sys.version_info[2]}"
    measurement = _native.ForkMeasurement(name, version, (sys.version_info[0], sys.version_info[1]))
    children: List[_Child] = []
    try:
        for _ in range(workers):
            child = _Child(function, describe, len(children))
            children.append(child)
            child.wait(time.monotonic() + timeout, "did not start")
            measurement.add_worker(child.pid)
        measurement.snapshot("fork")
        for child in children:
            child.go()
            child.wait(time.monotonic() + timeout, f"did not end in {timeout:g} seconds")
        measurement.snapshot(name)
        return _recording(measurement.finish())
    finally:
        for child in children:
            child.end()
        measurement.abandon()


class _Child:
    """One forked child, in a process group of its own, with a pipe in each direction."""

    def __init__(self, function: Callable[[], Any], describe: Describe, worker: int) -> None:
        self.worker = worker
        told, self._tell = os.pipe()
        self._heard, tells = os.pipe()
        parent = os.getpid()
        with warnings.catch_warnings():
            # Python 3.12 and later warn when a process with threads forks. The child runs one of them.
            warnings.simplefilter("ignore", DeprecationWarning)
            self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                os.close(self._tell)
                os.close(self._heard)
                os.setpgid(0, 0)
                if _native.die_with(parent):
                    _serve(function, describe, told, tells)
                    code = 0
            finally:
                os._exit(code)
        os.close(told)
        os.close(tells)

    def go(self) -> None:
        os.write(self._tell, b"g")

    def wait(self, deadline: float, late: str) -> None:
        """Waits for one message, and raises what it tells."""
        kind_length, text_length = _LENGTH.unpack(self._read(_LENGTH.size, deadline, late))
        kind = self._read(kind_length, deadline, late).decode()
        text = self._read(text_length, deadline, late).decode(errors="replace")
        if kind != "ok":
            raise ChildFailed(self.worker, kind, text)

    def _read(self, size: int, deadline: float, late: str) -> bytes:
        parts = b""
        while len(parts) < size:
            left = max(0.0, deadline - time.monotonic())
            poll = select.poll()
            poll.register(self._heard, select.POLLIN)
            if not poll.poll(min(left * 1000, 2**31 - 1)):
                raise ChildFailed(self.worker, "hung", late)
            part = os.read(self._heard, size - len(parts))
            if not part:
                raise ChildFailed(self.worker, "ended", self._how_it_ended())
            parts += part
        return parts

    def _how_it_ended(self) -> str:
        pid, self.pid = self.pid, 0
        _, status = os.waitpid(pid, 0)
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            return f"was killed by {signal.Signals(number).name}"
        return f"ended with exit status {os.WEXITSTATUS(status)} before its function returned"

    def end(self) -> None:
        """Kills the child with all that it started."""
        os.close(self._tell)
        os.close(self._heard)
        if self.pid:
            pid, self.pid = self.pid, 0
            for kill in (os.killpg, os.kill):
                try:
                    kill(pid, signal.SIGKILL)
                except (ProcessLookupError, PermissionError):
                    pass
            os.waitpid(pid, 0)


def _serve(function: Callable[[], Any], describe: Describe, told: int, tells: int) -> None:
    """In the child: stands still, calls, tells, stands still."""
    _send(tells, "ok", "")
    if not os.read(told, 1):
        return
    try:
        function()
        kind, text = "ok", ""
    except BaseException as error:  # noqa: B902: whatever it is, the parent has to know
        kind, text = describe(error)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # a stream that the function closed
            pass
    _send(tells, kind, text)
    os.read(told, 1)


def _send(tells: int, kind: str, text: str) -> None:
    first, second = kind.encode(), text.encode(errors="backslashreplace")
    message = _LENGTH.pack(len(first), len(second)) + first + second
    while message:
        message = message[os.write(tells, message) :]
