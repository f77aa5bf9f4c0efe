"""The compiled half of forkprint. Use the names in :mod:`forkprint` instead."""

from typing import Any, List, Optional, Tuple, final

__all__ = [
    "ForkprintError",
    "Recording",
    "__version__",
    "count_pages_begin",
    "count_pages_end",
    "family",
    "load",
    "main",
    "old_abi_extensions",
    "prepare_heap",
    "run",
    "snapshot",
    "trim_heap",
]

__version__: str

class ForkprintError(Exception):
    """Something could not be measured. The message says what, where, why and what would help."""

@final
class Recording:
    """What one measurement found, with every page."""

    @property
    def error(self) -> Optional[str]: ...
    def json(self) -> str: ...
    def html(self) -> str: ...
    def text(self, columns: int) -> str: ...
    def save(self, path: str, force: bool) -> None: ...

def count_pages_begin() -> bool: ...
def count_pages_end() -> Optional[int]: ...
def family(pid: int) -> str: ...
def load(path: str) -> Recording: ...
def main(arguments: List[str], self_command: List[str]) -> int: ...
def old_abi_extensions() -> List[str]: ...
def prepare_heap(roots: Optional[Tuple[Any, ...]], exclude: Tuple[Any, ...], flags: int) -> Tuple[int, ...]: ...
def run(
    workload: str,
    workers: int,
    timeout_seconds: float,
    rung: Optional[str],
    witness: Optional[str],
    command: str,
    self_command: List[str],
) -> Recording: ...
def snapshot(pid: int) -> str: ...
def trim_heap() -> bool: ...
