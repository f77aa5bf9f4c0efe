"""The compiled half of forkprint, as far as a server that is measured may use it: what the library holds
that watches page faults. It stands beside this file.

Standard library only, CPython 3.9 and later.
"""
import os
from importlib.machinery import ExtensionFileLoader, ModuleSpec

__version__ = "0"


class ForkprintError(Exception):
    """Something could not be done. The message says what, where, why and what would help."""


def _load():
    name = "_forkprint_agent"
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "libforkprint_agent.so")
    loader = ExtensionFileLoader(name, path)
    return loader.create_module(ModuleSpec(name, loader, origin=path))


try:
    _library = _load()
except ImportError:  # there is none for this processor, or the file system holds no executables
    pass
else:
    prepare_heap = _library.prepare_heap
    trim_heap = _library.trim_heap
