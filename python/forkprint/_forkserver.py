"""Imported last by a forkserver of multiprocessing: prepares it, before it forks its first worker.

A forkserver passes over modules that it cannot import, and over nothing else; a refusal is a warning here.
"""

import warnings

from forkprint import ForkprintError, prepare_fork

prepared = None

try:
    prepared = prepare_fork()
except ForkprintError as error:
    warnings.warn(f"forkprint: the forkserver was not prepared: {error}", RuntimeWarning, stacklevel=1)
