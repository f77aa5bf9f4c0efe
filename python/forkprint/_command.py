"""How forkprint starts itself again: the zygote is a process of its own."""

import sys
from typing import List

from forkprint._native import ForkprintError

__all__ = ["self_command"]


def self_command() -> List[str]:
    """The command that runs the command line of this very package in a new process.

    Raises ForkprintError where the interpreter does not know its own path, as in some embedded ones.
    """
    if not sys.executable:
        raise ForkprintError("cannot start a zygote\n  why:   this interpreter does not know its own path (sys.executable)")
    return [sys.executable, "-m", "forkprint"]
