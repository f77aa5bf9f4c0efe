"""The compiled half of forkprint. Use the names in :mod:`forkprint` instead."""

from typing import List, Optional, final

__all__ = ["ForkprintError", "Recording", "__version__", "family", "load", "main", "run", "snapshot"]

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

def family(pid: int) -> str: ...
def load(path: str) -> Recording: ...
def main(arguments: List[str], self_command: List[str]) -> int: ...
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
