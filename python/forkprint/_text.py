"""Sizes and tables for people."""

from typing import List, Sequence

__all__ = ["counted", "pages", "size", "table"]

_PAGE_SIZE = 4096


def size(count: float) -> str:
    """A number of bytes with a binary unit, as the command line prints it."""
    for unit, factor in (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if abs(count) >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count:.0f} B"


def pages(count: float) -> str:
    """The size of so many pages."""
    return size(count * _PAGE_SIZE)


def counted(count: int, noun: str) -> str:
    """``1 worker``, ``2 workers``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows below each other, indented by two: the first column to the left, the others to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows)]
    lines: List[str] = []
    for row in rows:
        cells = [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        lines.append("\n  " + "  ".join(cells).rstrip())
    return "".join(lines)
