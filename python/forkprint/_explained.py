"""Why pages were broken: the rankings of a recording."""

from dataclasses import dataclass
from typing import Any, Dict, Optional, Tuple

from forkprint._text import counted, pages, table

__all__ = ["Explained", "Ranked"]

_SHOWN = 5


@dataclass(frozen=True)
class Ranked:
    """Pages that have something in common, by their first write since the fork."""

    name: str  #: ``shop.py:14 search``, ``shop.Product``, ``shop.CATALOGUE[*].tags``
    pages: int  #: broken pages of 4096 bytes, all workers together
    ghosts: int  #: of these, pages whose bytes still equal those of the fork
    share: float  #: percent of all broken pages
    cause: str  #: the most frequent cause among them
    file: Optional[str] = None  #: of lines and functions
    line: Optional[int] = None
    function: Optional[str] = None
    own: Optional[int] = None  #: of owners: pages that nothing below them owns

    def __repr__(self) -> str:
        return f"<{self.name}: {pages(self.pages)} broken, {self.share:.1f} %, mostly {self.cause}>"


@dataclass(frozen=True)
class Explained:
    """The first writers of the broken pages, ranked; at most twenty rows each.

    An event shows only who wrote a page *first*. Without that write, a later one would have broken
    the page: what a change gives back is known by measuring again.
    """

    headline: Optional[str]  #: the one sentence an engineer needs
    by_line: Tuple[Ranked, ...]
    by_function: Tuple[Ranked, ...]
    by_type: Tuple[Ranked, ...]
    by_field: Tuple[Ranked, ...]  #: type and field, ``str.ob_refcnt``
    by_owner: Tuple[Ranked, ...]  #: with all that an owner owns
    by_module: Tuple[Ranked, ...]
    by_cause: Tuple[Ranked, ...]
    by_writer: Tuple[Ranked, ...]  #: the native function that holds the instruction

    def __repr__(self) -> str:
        rows = [[row.name, pages(row.pages), f"{row.share:.1f} %"] for row in self.by_line[:_SHOWN]]
        return f"<Explained: {self.headline or 'nothing'}; by {counted(len(rows), 'line')}:" + table(rows or [[""]]) + ">"


def explained(found: Dict[str, Any]) -> Explained:
    """The rankings, from the JSON of a recording."""
    known = Ranked.__dataclass_fields__
    rows = lambda key: tuple(  # noqa: E731
        Ranked(**{name: value for name, value in row.items() if name in known}) for row in found[key]
    )
    rankings = {name: rows(name) for name in Explained.__dataclass_fields__ if name != "headline"}
    return Explained(headline=found["headline"], **rankings)
