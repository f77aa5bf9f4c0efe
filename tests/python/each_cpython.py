"""Installs the wheel into a virtual environment of every CPython found, and runs the tests there.

usage: each_cpython.py DIST

Interpreters are looked for on PATH and among those of pyenv; one of each minor version serves.
"""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
MINORS = range(9, 16)


def candidates():
    for minor in MINORS:
        for folder in os.environ.get("PATH", "").split(os.pathsep):
            yield pathlib.Path(folder) / f"python3.{minor}"
    pyenv = pathlib.Path(os.environ.get("PYENV_ROOT", pathlib.Path.home() / ".pyenv"))
    yield from sorted(pyenv.glob("versions/3.*/bin/python3"))
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


def interpreters():
    found = {}
    for python in candidates():
        if python.exists() and (minor := minor_of(python)) in MINORS:
            found.setdefault(minor, python)
    return dict(sorted(found.items()))


def test_on(minor, python, wheel):
    home = ROOT / "target" / "venvs" / f"3.{minor}"
    pip = [home / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([python, "-m", "venv", "--clear", home], check=True)
    subprocess.run([*pip, "pytest", wheel], check=True)
    subprocess.run([home / "bin" / "forkprint", "doctor"], check=True, stdout=subprocess.DEVNULL)
    return subprocess.run([home / "bin" / "python", "-m", "pytest", "-q"], cwd=ROOT).returncode == 0


def main():
    (wheel,) = pathlib.Path(sys.argv[1]).glob("forkprint-*.whl")
    failed = []
    found = interpreters()
    for minor, python in found.items():
        print(f"--- CPython 3.{minor} ({python})", flush=True)
        if not test_on(minor, python, wheel):
            failed.append(f"3.{minor}")
    if not found:
        sys.exit("no CPython found that can make virtual environments")
    if failed:
        sys.exit(f"the tests failed on CPython {', '.join(failed)}")
    print(f"the wheel works on CPython {', '.join(f'3.{minor}' for minor in found)}")


main()
