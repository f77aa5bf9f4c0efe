"""Sizes and tables for people."""

from typing import List, Sequence

__all__ = ["size", "table"]


def size(count: float) -> str:
    """A number of bytes with a binary unit, as the command line prints it."""
    for unit, factor in (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if abs(count) >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count:.0f} B"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows below each other, indented by two: the first column to the left, the others to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows)]
    lines: List[str] = []
    for row in rows:
        cells = [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        lines.append("\n  " + "  ".join(cells).rstrip())
    return "".join(lines)
