import os
import pickle
import subprocess
import sys

import pytest

import forkprint

MIB = 1 << 20


def test_a_snapshot_of_this_process_grows_with_it():
    before = forkprint.snapshot()
    ballast = bytearray(os.urandom(8 * MIB))
    after = forkprint.snapshot()
    assert before.pid == os.getpid()
    assert after.private_bytes - before.private_bytes > 7 * MIB
    assert after.private_bytes == after.private_pages * 4096
    assert len(ballast) == 8 * MIB


def test_objects_are_found_in_arenas():
    before = forkprint.snapshot().regions["pymalloc arena"]
    strings = [f"string-{number}" for number in range(200_000)]
    after = forkprint.snapshot().regions["pymalloc arena"]
    assert after - before > 10 * MIB
    assert len(strings) == 200_000


STANDING_FAMILY = """
import os, signal, sys
strings = [f"string-{number}" for number in range(100_000)]
if os.fork() == 0:
    print(flush=True)
    signal.pause()
sys.stdin.read()
os.kill(0, signal.SIGKILL)
"""


def test_looking_at_a_worker_does_not_break_its_pages():
    # A family of its own: this process writes to its own heap when it takes a snapshot.
    zygote = subprocess.Popen(
        [sys.executable, "-c", STANDING_FAMILY],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        zygote.stdout.readline()
        before = forkprint.family(zygote.pid).workers[0]
        for _ in range(3):
            forkprint.snapshot(before.pid)
        after = forkprint.family(zygote.pid).workers[0]
        assert before.private_bytes > 6 * MIB
        assert before.unique_bytes < MIB
        assert after.unique_bytes - before.unique_bytes < MIB // 4
    finally:
        zygote.communicate()


def test_another_process_can_be_looked_at():
    child = subprocess.Popen(["sleep", "60"])
    try:
        assert 0 < forkprint.snapshot(child.pid).private_pages < 1000
    finally:
        child.kill()
        child.wait()


def test_a_family_shares_what_was_there_before_the_fork(worker):
    ballast = bytearray(os.urandom(16 * MIB))
    pids = [worker(), worker()]
    family = forkprint.family()
    assert family.zygote.pid == os.getpid()
    assert [member.pid for member in family.workers] == pids
    for member in family.workers:
        assert member.private_bytes > 16 * MIB
        assert member.unique_bytes < 8 * MIB
    assert family.distinct_bytes < sum(member.private_bytes for member in family.members) - 24 * MIB
    assert family.distinct_bytes == pytest.approx(sum(m.proportional_bytes for m in family.members), abs=4096)
    assert len(ballast) == 16 * MIB


def test_a_process_that_does_not_exist_is_an_error():
    with pytest.raises(forkprint.ForkprintError, match="no such process"):
        forkprint.snapshot(2**22 + 1)
    with pytest.raises(forkprint.ForkprintError, match="no such process"):
        forkprint.family(2**22 + 1)


def test_results_are_values(worker):
    worker()
    for value in (forkprint.snapshot(), forkprint.family()):
        assert pickle.loads(pickle.dumps(value)) == value
        with pytest.raises(AttributeError):
            value.pid = 1
    assert f"process {os.getpid()}: private" in repr(forkprint.snapshot())


def test_a_family_shows_what_it_shares_and_what_each_member_maps(worker):
    pid = worker()
    family = forkprint.family()
    head, columns, *rows = repr(family).splitlines()
    assert ": 1 worker, " in head and "of distinct private memory" in head
    assert columns.split()[:2] == ["pid", "mapped"] and "private" not in columns
    assert len(rows) == 2
    first, second = repr(family.workers[0]).splitlines()
    assert f"process {pid}: maps " in first and "MiB of private memory" in first
    assert "proportional" in second and "page tables" in second


def test_every_public_name_is_there_and_documented():
    for name in forkprint.__all__:
        assert getattr(forkprint, name).__doc__, name
    assert set(forkprint.__all__) == set(dir(forkprint))
    with pytest.raises(AttributeError):
        forkprint.nonsense


def test_importing_for_the_decorator_alone_loads_little():
    code = "import sys, forkprint; forkprint.step; print(sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert "'forkprint._steps'" in loaded
    for module in ("dataclasses", "json", "inspect"):
        assert f"'{module}'" not in loaded
