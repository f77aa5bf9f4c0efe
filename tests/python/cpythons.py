"""The CPythons of this machine: on PATH, among those of pyenv, and the one that runs this.

usage: cpythons.py MINOR...    prints the newest of these minor versions that is found, else fails
"""

import os
import pathlib
import subprocess
import sys

MINORS = range(9, 16)


def candidates(minors):
    for minor in minors:
        for folder in os.environ.get("PATH", "").split(os.pathsep):
            yield pathlib.Path(folder) / f"python3.{minor}"
    pyenv = pathlib.Path(os.environ.get("PYENV_ROOT", pathlib.Path.home() / ".pyenv"))
    for minor in minors:
        yield from sorted(pyenv.glob(f"versions/3.{minor}.*/bin/python3"))
    yield pathlib.Path(sys.base_prefix) / "bin" / "python3"


def minor_of(python):
    """The minor version of a CPython that runs and can make virtual environments, or None."""
    program = (
        "import sys, venv, ensurepip;"
        "print(sys.implementation.name, sys.version_info[0], sys.version_info[1])"
    )
    try:
        answer = subprocess.run([python, "-c", program], capture_output=True, text=True, timeout=30)
    except OSError:
        return None
    words = answer.stdout.split()
    return int(words[2]) if words[:2] == ["cpython", "3"] else None


def interpreters(minors=MINORS):
    """One interpreter of each of these minor versions that is found."""
    found = {}
    for python in candidates(minors):
        if python.exists() and (minor := minor_of(python)) in minors:
            found.setdefault(minor, python)
    return dict(sorted(found.items()))


def main():
    found = interpreters([int(minor) for minor in sys.argv[1:]])
    if not found:
        sys.exit(1)
    print(found[max(found)])


if __name__ == "__main__":
    main()
