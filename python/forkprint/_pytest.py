"""The pytest plugin: ``@pytest.mark.forkprint(max_broken="5 MiB", workers=2)``.

The test function runs in forked children of pytest's process, and the test fails when a child breaks,
copies for nothing or makes more memory than the marker allows.
"""

import inspect
import re
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple

import pytest

if TYPE_CHECKING:
    from forkprint._record import Recording, WorkerStep

__all__ = ["pytest_configure", "pytest_pyfunc_call"]

_MARKER = (
    "forkprint(max_broken=None, max_ghost=None, max_fresh=None, workers=1, timeout=300.0): run the test in "
    "forked workers, and fail when one breaks, copies for nothing, or makes more memory than is allowed "
    "(bytes, '5 MiB', or '5%' of what it inherits)"
)
_LIMITS = ("max_broken", "max_ghost", "max_fresh")
_OPTIONS = (*_LIMITS, "workers", "timeout")
_UNITS = {"": 1, "b": 1}
for _power, _letter in enumerate("kmgt", 1):
    _UNITS.update({_letter: 1024**_power, f"{_letter}b": 1024**_power, f"{_letter}ib": 1024**_power})
_PAGE = 4096
_REGIONS_SHOWN = 3


def pytest_configure(config: pytest.Config) -> None:
    """Makes the marker known."""
    config.addinivalue_line("markers", _MARKER)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Optional[bool]:
    """Runs a marked test in forked workers instead of here."""
    marker = pyfuncitem.get_closest_marker("forkprint")
    if marker is None:
        return None
    options, limits = _read(marker)
    function = pyfuncitem.obj
    if inspect.iscoroutinefunction(function):
        pytest.fail("the forkprint marker cannot run a coroutine: call asyncio.run() in a plain function", pytrace=False)
    names = inspect.signature(function).parameters
    arguments = {name: pyfuncitem.funcargs[name] for name in names if name in pyfuncitem.funcargs}
    recording = _measure(pyfuncitem, lambda: function(**arguments), options)
    exceeded = _exceeded(recording, limits)
    if exceeded:
        pytest.fail("\n".join(exceeded), pytrace=False)
    return True


def _measure(item: pytest.Function, call: Any, options: Dict[str, Any]) -> "Recording":
    from forkprint import _measure as core

    def describe(error: BaseException) -> Tuple[str, str]:
        if isinstance(error, pytest.skip.Exception):
            return "skipped", str(error.msg)
        if isinstance(error, pytest.xfail.Exception):
            return "xfailed", str(error.msg)
        assert error.__traceback__ is not None
        excinfo = pytest.ExceptionInfo.from_exc_info((type(error), error, error.__traceback__))
        return "failed", str(item.repr_failure(excinfo))

    try:
        return core._measure(call, options["workers"], options["timeout"], item.name, describe)
    except core.ChildFailed as failed:
        worker, kind, text = failed.worker, failed.kind, failed.text
    if kind == "skipped":
        pytest.skip(text)
    if kind == "xfailed":
        pytest.xfail(text)
    pytest.fail(f"in forked worker {worker}:\n{text}", pytrace=False)


def _read(marker: pytest.Mark) -> Tuple[Dict[str, Any], Dict[str, Any]]:
    if marker.args:
        _refuse("takes keywords only, like max_broken='5 MiB'")
    unknown = sorted(set(marker.kwargs) - set(_OPTIONS))
    if unknown:
        _refuse(f"has no option {unknown[0]!r}; the options are {', '.join(_OPTIONS)}")
    given = {"workers": 1, "timeout": 300.0, **marker.kwargs}
    if isinstance(given["workers"], bool) or not isinstance(given["workers"], int) or given["workers"] < 1:
        _refuse(f"needs workers=1 or more, not {given['workers']!r}")
    if isinstance(given["timeout"], bool) or not isinstance(given["timeout"], (int, float)) or not given["timeout"] > 0:
        _refuse(f"needs a timeout in seconds, not {given['timeout']!r}")
    limits = {name: _limit(name, given[name]) for name in _LIMITS if given.get(name) is not None}
    if not limits:
        _refuse(f"limits nothing; give one of {', '.join(_LIMITS)}")
    return given, limits


def _refuse(why: str) -> None:
    pytest.fail(f"the forkprint marker {why}", pytrace=False)


def _limit(name: str, value: Any) -> Tuple[Optional[float], Optional[float], str]:
    """(bytes, percentage, as it was written); one of the first two is None."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return float(value), None, _size(value)
    found = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]*)?)\s*(%|[A-Za-z]*)\s*", value) if isinstance(value, str) else None
    if found and found.group(2) == "%":
        return None, float(found.group(1)), value.strip()
    if not found or found.group(2).lower() not in _UNITS:
        _refuse(f"cannot read {name}={value!r}; write it like '5 MiB', '5%' or 4096")
        raise AssertionError
    return float(found.group(1)) * _UNITS[found.group(2).lower()], None, value.strip()


def _size(count: float) -> str:
    from forkprint._text import size

    return size(count)


def _own(worker: "WorkerStep", floor: "WorkerStep", measure: str) -> int:
    """Pages that the worker broke, copied for nothing or made since it stood still after the fork."""

    def count(step: "WorkerStep") -> int:
        if measure == "max_broken":
            return step.broken_by_worker
        if measure == "max_ghost":
            return step.ghost - step.ghost_zygote_only
        return step.fresh

    return max(0, count(worker) - count(floor))


_TOLD = {"max_broken": "broke", "max_ghost": "copied for nothing", "max_fresh": "made"}


def _exceeded(recording: "Recording", limits: Dict[str, Any]) -> List[str]:
    floor, step = recording.steps[0], recording.steps[-1]
    lines = []
    for name, (most_bytes, percentage, written) in limits.items():
        over = []
        for worker, before in zip(step.workers, floor.workers):
            inherited = worker.inherited * _PAGE
            allowed = most_bytes if percentage is None else inherited * percentage / 100
            measured = _own(worker, before, name) * _PAGE
            if measured > allowed:
                over.append(f"  worker {worker.worker} {_TOLD[name]} {_size(measured)} of {_size(inherited)} inherited")
        if over:
            lines.append(f"{name}={written} is exceeded in {len(over)} of {len(step.workers)} forked workers")
            lines += over
    if lines:
        grown = {region: count - floor.regions.get(region, 0) for region, count in step.regions.items()}
        largest = sorted(((count, region) for region, count in grown.items() if count > 0), reverse=True)
        named = ", ".join(f"{region} {_size(count * _PAGE)}" for count, region in largest[:_REGIONS_SHOWN])
        lines.append(f"broken in all workers together: {named or 'nothing'} (evidence: {recording.rung})")
    return lines
