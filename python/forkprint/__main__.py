"""The command line: ``forkprint …`` and ``python -m forkprint …``."""

import sys

from forkprint import _native
from forkprint._command import self_command

__all__ = ["main"]


def main() -> int:
    """Run the command line of this process and return its exit code."""
    return _native.main(sys.argv[1:], self_command())


if __name__ == "__main__":
    sys.exit(main())
