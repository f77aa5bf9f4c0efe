"""Live processes, looked at from outside: :func:`snapshot` and :func:`family`."""

import json
import os
from dataclasses import dataclass
from typing import Dict, Optional, Tuple

from forkprint import _native
from forkprint._text import counted, size, table

__all__ = ["Family", "Member", "Snapshot", "family", "snapshot"]


_REGIONS_SHOWN = 8


@dataclass(frozen=True)
class Snapshot:
    """The private memory of one process at one moment. Sizes are in bytes.

    Private memory is what only this process can change: anonymous memory and the pages of
    private file mappings that were written. Right after a fork the worker shares it with its
    zygote, page by page, until one of them writes.
    """

    pid: int
    private_pages: int  #: pages of private memory, in memory or in swap
    rss_bytes: int  #: resident set, shared libraries included
    pss_bytes: int  #: resident set with each page divided by the number of processes that map it
    page_table_bytes: int  #: the page tables themselves, which are never shared
    regions: Dict[str, int]  #: bytes of private memory by region, e.g. ``pymalloc arena``

    @property
    def private_bytes(self) -> int:
        """Bytes of private memory."""
        return sum(self.regions.values())

    def __repr__(self) -> str:
        head = (
            f"<Snapshot of process {self.pid}: private {size(self.private_bytes)}, RSS {size(self.rss_bytes)}, "
            f"PSS {size(self.pss_bytes)}, page tables {size(self.page_table_bytes)}"
        )
        largest = sorted(self.regions.items(), key=lambda region: -region[1])
        rows = [[name, size(held)] for name, held in largest[:_REGIONS_SHOWN]]
        if len(largest) > _REGIONS_SHOWN:
            rest = largest[_REGIONS_SHOWN:]
            rows.append([f"{len(rest)} smaller regions", size(sum(held for _, held in rest))])
        return head + table(rows) + ">"


@dataclass(frozen=True)
class Member:
    """What one process of a family maps and pays for. Sizes are in bytes."""

    pid: int
    rss_bytes: int  #: resident set, shared libraries included
    private_bytes: int  #: private memory it maps, shared with other members or not
    unique_bytes: int  #: of this, memory that no other member maps: what its end would free
    proportional_bytes: int  #: each page divided by the number of members that map it
    page_table_bytes: int  #: its page tables

    def __repr__(self) -> str:
        return (
            f"<Member, process {self.pid}: maps {size(self.private_bytes)} of private memory, "
            f"{size(self.unique_bytes)} of it alone"
            f"\n  its proportional part is {size(self.proportional_bytes)}; RSS {size(self.rss_bytes)}, "
            f"page tables {size(self.page_table_bytes)}>"
        )


@dataclass(frozen=True)
class Family:
    """A zygote and all processes forked from it, at one moment. Sizes are in bytes.

    The members' proportional bytes add up to the distinct bytes.
    """

    rung: str  #: evidence: ``pfn`` (who maps which frame, exact) or ``rollup`` (the kernel's totals)
    distinct_bytes: int  #: private memory of the whole family, each frame counted once
    members: Tuple[Member, ...]  #: the zygote first, then its descendants

    @property
    def zygote(self) -> Member:
        """The process the others were forked from."""
        return self.members[0]

    @property
    def workers(self) -> Tuple[Member, ...]:
        """The zygote's descendants."""
        return self.members[1:]

    def __repr__(self) -> str:
        head = (
            f"<Family of process {self.zygote.pid}: {counted(len(self.workers), 'worker')}, "
            f"{size(self.distinct_bytes)} of distinct private memory, rung {self.rung}"
        )
        rows = [["pid", "mapped", "unique", "proportional", "page tables"]]
        rows += [
            [str(m.pid), *map(size, (m.private_bytes, m.unique_bytes, m.proportional_bytes, m.page_table_bytes))]
            for m in self.members
        ]
        return head + table(rows) + ">"


def snapshot(pid: Optional[int] = None) -> Snapshot:
    """Look at the private memory of a process: this one, unless told otherwise.

    Needs the right to read the process: the same user, or root. Raises ForkprintError when there
    is no such process or it may not be read.
    """
    return Snapshot(**json.loads(_native.snapshot(os.getpid() if pid is None else pid)))


def family(pid: Optional[int] = None) -> Family:
    """Look at a process and all its descendants: what each of them pays for.

    With the right to see page frame numbers (root) every frame is counted; otherwise the kernel's
    own totals are taken, and ``rung`` says so. Raises ForkprintError when there is no such process
    or it may not be read.
    """
    found = json.loads(_native.family(os.getpid() if pid is None else pid))
    return Family(
        rung=found["rung"],
        distinct_bytes=found["distinct_bytes"],
        members=tuple(Member(**member) for member in found["members"]),
    )
