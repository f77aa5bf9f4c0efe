"""Installs the wheel into a virtual environment of every CPython found, and runs the tests there.

usage: each_cpython.py DIST

One interpreter of each minor version serves (cpythons.py).
"""

import pathlib
import subprocess
import sys

from cpythons import interpreters

ROOT = pathlib.Path(__file__).resolve().parents[2]


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
