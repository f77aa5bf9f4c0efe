"""Measurements of whole runs: :func:`run`, and :func:`load` for what was saved."""

import json
import os
import shlex
import shutil
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Tuple, Type, TypeVar, Union

from forkprint import _native
from forkprint._command import self_command
from forkprint._explained import Explained, explained
from forkprint._native import ForkprintError
from forkprint._text import counted, pages, size, table

__all__ = ["Finding", "Reconciliation", "Recording", "Step", "Worker", "WorkerStep", "Zygote", "load", "run"]

_Path = Union[str, "os.PathLike[str]"]
_Record = TypeVar("_Record")

_PAGE_SIZE = 4096
_REGIONS_SHOWN = 3


@dataclass(frozen=True)
class Zygote:
    """The process the workers were forked from, at the fork."""

    pid: int
    private_pages: int  #: what every worker inherits
    rss_bytes: int

    def __repr__(self) -> str:
        return f"<Zygote, process {self.pid}: {pages(self.private_pages)} for workers to inherit, RSS {size(self.rss_bytes)}>"


@dataclass(frozen=True)
class Worker:
    """One worker and how it ended."""

    worker: int  #: index, from 0
    pid: int
    fate: Dict[str, Any]  #: ``kind`` is finished, exited, killed, failed or hung; the rest says how

    def __repr__(self) -> str:
        return f"<Worker {self.worker}, process {self.pid}: {self._fate()}>"

    def _fate(self) -> str:
        step = f"in step {self.fate.get('step')!r}"
        told = {
            "finished": lambda: "served until it was stopped",
            "exited": lambda: f"left with status {self.fate['code']} {step}",
            "killed": lambda: f"was killed by {self.fate['signal']} {step}",
            "failed": lambda: f"raised {step}\n  {self.fate['message']}",
            "hung": lambda: f"did not end in time {step}",
        }
        kind = self.fate["kind"]
        return told[kind]() if kind in told else str(kind)


@dataclass(frozen=True)
class WorkerStep:
    """One worker after one step. Counts are pages of 4096 bytes, cumulative since the fork."""

    worker: int  #: index, from 0
    pid: int
    inherited: int  #: pages that the worker got at the fork
    broken: int  #: of these, no longer shared with the zygote
    broken_by_worker: int  #: of these, written by the worker
    broken_by_zygote: int  #: of these, written by the zygote
    ghost: int  #: broken pages whose bytes did not change: copies that bought nothing
    uncompared: int  #: broken pages whose fork-time bytes could not be read
    ghost_zygote_only: int  #: of ``ghost``, pages that only the zygote wrote: there its copy bought nothing
    uncompared_zygote_only: int  #: of ``uncompared``, pages that only the zygote wrote
    fresh: int  #: private pages made after the fork
    gone: int  #: inherited pages no longer mapped
    bytes_changed: int  #: bytes that really differ, in all broken pages together

    @property
    def broken_bytes(self) -> int:
        """Bytes of the broken pages."""
        return self.broken * _PAGE_SIZE

    @property
    def ghost_bytes(self) -> int:
        """Bytes of the ghost pages."""
        return self.ghost * _PAGE_SIZE

    @property
    def fresh_bytes(self) -> int:
        """Bytes of the fresh pages."""
        return self.fresh * _PAGE_SIZE

    def __repr__(self) -> str:
        uncompared = f" ({pages(self.uncompared)} not compared)" if self.uncompared else ""
        return (
            f"<WorkerStep of worker {self.worker}, process {self.pid}: {pages(self.broken)} broken of "
            f"{pages(self.inherited)} inherited, {pages(self.ghost)} of it ghost{uncompared}"
            f"\n  written by the worker {pages(self.broken_by_worker)}, by the zygote {pages(self.broken_by_zygote)}; "
            f"{size(self.bytes_changed)} really changed; fresh {pages(self.fresh)}, gone {pages(self.gone)}>"
        )


@dataclass(frozen=True)
class Step:
    """The family after one step. Counts are pages, cumulative since the fork."""

    name: str  #: ``fork``, then the workload's steps in order
    seconds: float  #: since the fork
    workers: Tuple[WorkerStep, ...]  #: one entry for each worker alive
    regions: Dict[str, int]  #: broken pages by region, summed over the workers
    causes: Dict[str, int]  #: broken pages by cause, summed over the workers

    @property
    def broken(self) -> int:
        """Broken pages of all workers together."""
        return sum(worker.broken for worker in self.workers)

    def _per_worker(self, count: str) -> str:
        """The mean of one of the workers' counts, as the command line's table shows it."""
        if not self.workers:
            return "–"
        return pages(sum(getattr(worker, count) for worker in self.workers) / len(self.workers))

    def __repr__(self) -> str:
        broken, ghost, fresh = map(self._per_worker, ("broken", "ghost", "fresh"))
        largest = sorted(self.regions.items(), key=lambda region: -region[1])[:_REGIONS_SHOWN]
        regions = ", ".join(f"{name} {pages(count)}" for name, count in largest if count)
        return (
            f"<Step {self.name!r}, {counted(len(self.workers), 'worker')}; per worker: "
            f"{broken} broken, {ghost} of it ghost, {fresh} fresh"
            f"\n  broken in all workers together: {regions or 'nothing'}>"
        )


@dataclass(frozen=True)
class Reconciliation:
    """How the broken pages of the last step are accounted for, summed over the workers.

    ``broken == explained + kernel_writes + floor + unexplained``.
    """

    broken: int
    explained: int  #: with a cause that two witnesses agree on
    kernel_writes: int  #: written by the kernel on the worker's behalf
    floor: int  #: already broken when the workers first stood still after the fork
    unexplained: int
    lost_samples: int  #: break events the kernel counted but did not deliver

    def __repr__(self) -> str:
        lost = f"; {counted(self.lost_samples, 'sample')} lost" if self.lost_samples else ""
        return (
            f"<Reconciliation of all workers together: {pages(self.broken)} broken"
            f"\n  = {pages(self.explained)} explained + {pages(self.kernel_writes)} by the kernel "
            f"+ {pages(self.floor)} at the fork itself + {pages(self.unexplained)} unexplained{lost}>"
        )


@dataclass(frozen=True)
class Finding:
    """A coded remark with its evidence and the least change that helps."""

    code: str
    title: str
    evidence: str
    fix: str


@dataclass(frozen=True)
class Recording:
    """What one measurement found. Step counts are pages of 4096 bytes.

    The page map, with the fate of every single page, goes into :meth:`save` and :meth:`save_html`.
    """

    title: str
    command: str  #: the command line that repeats the measurement
    runtime: str  #: ``python``, ``toy``, ``server`` or ``command``
    runtime_version: str  #: e.g. ``CPython 3.12.1``
    rung: str  #: the evidence used: ``pfn``, ``scan``, ``exclusive`` or ``rollup``
    witness: str  #: how single writes were witnessed: ``sigtrap``, ``ring`` or ``none``
    zygote: Zygote
    workers: Tuple[Worker, ...]
    steps: Tuple[Step, ...]  #: the first is named ``fork``: what breaks before the first step
    reconciliation: Reconciliation
    explained: Explained  #: who wrote, why, to what, and where
    findings: Tuple[Finding, ...]
    complete: bool  #: False when the measurement ended early; ``error`` and the findings say why
    error: Optional[str]  #: why the measurement ended early
    _pages: Optional[_native.Recording] = field(repr=False, compare=False)
    _json: str = field(repr=False, compare=False)

    def step(self, name: str) -> Step:
        """The step of this name. Raises KeyError when there is none."""
        for step in self.steps:
            if step.name == name:
                return step
        raise KeyError(f"no step {name!r}; the steps are {', '.join(repr(step.name) for step in self.steps)}")

    def to_json(self) -> str:
        """The recording as ``forkprint run --format json`` prints it; its ``schema_version`` is 1."""
        return self._json

    def save(self, path: _Path, *, force: bool = False) -> None:
        """Write a capture folder, conventionally named ``NAME.forkprint``, with every page in it.

        Raises ForkprintError when it cannot be written, or exists and ``force`` is not set.
        """
        self._with_pages().save(os.fspath(path), force)

    def save_html(self, path: _Path, *, force: bool = False) -> None:
        """Write the report as one self-contained HTML file.

        Raises ForkprintError when it exists and ``force`` is not set, OSError when it cannot be
        written.
        """
        page = self._with_pages().html()
        try:
            with open(path, "w" if force else "x", encoding="utf-8") as file:
                file.write(page)
        except FileExistsError:
            raise ForkprintError(
                f"refusing to overwrite a file\n  where: {os.fspath(path)}\n  fix:   pass force=True, or another name"
            ) from None

    def _with_pages(self) -> _native.Recording:
        if self._pages is None:
            raise ForkprintError(
                "this recording has no page map\n  why:   pickling leaves it out"
                "\n  fix:   save() the recording and load() it in the other process"
            )
        return self._pages

    def __getstate__(self) -> Dict[str, Any]:
        return {**self.__dict__, "_pages": None}

    def __str__(self) -> str:
        """The report as the command line prints it on a terminal."""
        return self._with_pages().text(shutil.get_terminal_size().columns) if self._pages else repr(self)

    def __repr__(self) -> str:
        head = (
            f"<Recording of {self.title!r} on {self.runtime_version}: "
            f"{counted(len(self.workers), 'worker')}, rung {self.rung}; per worker:"
        )
        counts = ("broken", "ghost", "fresh")
        rows = [["step", *counts]]
        rows += [[step.name, *(step._per_worker(count) for count in counts)] for step in self.steps]
        return head + table(rows) + ("" if self.complete else "\n  ended early") + ">"


def run(
    workload: _Path,
    workers: int = 2,
    *,
    timeout: float = 300.0,
    rung: Optional[str] = None,
    witness: Optional[str] = None,
) -> Recording:
    """Run a workload in a zygote and forked workers of its own, and measure the family.

    ``workload`` is a ``.py`` module with functions marked :func:`forkprint.step` or a ``.toy``
    program. The calling process is neither forked nor measured. ``timeout`` is the longest wait, in
    seconds, for the load and for each step. ``rung`` names the evidence to use; the best that works
    here is taken otherwise. ``witness`` says how single writes are witnessed: ``sigtrap``, ``ring``
    or ``none``.

    Raises ForkprintError when the workload cannot be loaded or nothing could be measured. When a
    step fails, what was measured is returned, ``complete`` is False and ``error`` says why.
    """
    command = ["forkprint", "run", os.fspath(workload), "-w", str(workers)]
    if rung is not None:
        command += ["--rung", rung]
    if witness is not None:
        command += ["--witness", witness]
    joined = " ".join(shlex.quote(word) for word in command)
    return _recording(_native.run(os.fspath(workload), workers, timeout, rung, witness, joined, self_command()))


def load(path: _Path) -> Recording:
    """Read a capture folder, as :meth:`Recording.save` or ``forkprint run --capture`` wrote it.

    Raises ForkprintError when it is no capture, or one of a newer version.
    """
    return _recording(_native.load(os.fspath(path)))


def _recording(native: _native.Recording) -> Recording:
    text = native.json()
    found = json.loads(text)
    about = found["about"]
    return Recording(
        title=about["title"],
        command=found["command"],
        runtime=found["runtime"],
        runtime_version=about["runtime_version"],
        rung=found["rung"],
        witness=found["witness"],
        zygote=_build(Zygote, found["zygote"]),
        workers=tuple(_build(Worker, worker) for worker in found["workers"]),
        steps=tuple(_step(step) for step in found["steps"]),
        reconciliation=_build(Reconciliation, found["reconciliation"]),
        explained=explained(found["explained"]),
        findings=tuple(_build(Finding, finding) for finding in found["findings"]),
        complete=about["complete"],
        error=native.error,
        _pages=native,
        _json=text,
    )


def _step(found: Dict[str, Any]) -> Step:
    workers: List[WorkerStep] = [_build(WorkerStep, worker) for worker in found["workers"]]
    return _build(Step, {**found, "workers": tuple(workers)})


def _build(kind: Type[_Record], found: Dict[str, Any]) -> _Record:
    """Makes a record of the fields it knows: newer JSON may have more."""
    known = kind.__dataclass_fields__  # type: ignore[attr-defined]
    return kind(**{name: found[name] for name in known})
