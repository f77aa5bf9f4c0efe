"""The compiled half of forkprint. Use the names in :mod:`forkprint` instead."""

__version__: str

class ForkprintError(Exception):
    """Something could not be measured. The message says what, where, why and what would help."""

def family(pid: int) -> str: ...
def snapshot(pid: int) -> str: ...
