"""What the tests of the package share."""

import os
import pathlib
import signal

import pytest

WORKLOADS = pathlib.Path(__file__).parents[2] / "workloads" / "python"


@pytest.fixture
def workload(tmp_path):
    """Writes the source of a workload and returns its path."""

    def write(source):
        path = tmp_path / "made_up_workload.py"
        path.write_text("import forkprint\n" + source)
        return path

    return write


@pytest.fixture
def shipped():
    """The path of one of the workloads that come with forkprint."""
    return lambda name: WORKLOADS / f"{name}.py"


@pytest.fixture
def worker():
    """Forks a worker that stands still until the test is over, and returns its pid."""
    pids = []

    def fork():
        ready, tell = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.write(tell, b"x")
            while True:
                signal.pause()
        os.read(ready, 1)
        os.close(ready)
        os.close(tell)
        pids.append(pid)
        return pid

    yield fork
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
