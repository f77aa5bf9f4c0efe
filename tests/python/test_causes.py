"""Programs that know why their pages break, on the CPython that runs these tests.

`tests/truth_causes.rs` compares page by page, on one version; this compares the sums, on each.
"""

import collections
import ctypes
import json
import os
import pathlib
import platform
import shutil

import pytest

import forkprint

FOLDER = pathlib.Path(__file__).parents[2] / "workloads" / "truth" / "causes"
PROGRAMS = sorted(path.stem for path in FOLDER.glob("*.py") if "@forkprint.step" in path.read_text())

#: perf_event_open on x86-64 and on arm64.
PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241}


def can_witness():
    """Whether the kernel gives an event that signals page faults: struct perf_event_attr."""
    software, size, page_faults = 1, 128, 2
    bits = 1 | 1 << 5 | 1 << 6 | 1 << 36 | 1 << 37  # disabled, exclude_kernel and _hv, remove_on_exec, sigtrap
    attr = (ctypes.c_uint64 * (size // 8))(software | size << 32, page_faults, 1, 0, 0, bits)
    event = ctypes.CDLL(None).syscall(PERF_EVENT_OPEN.get(platform.machine(), -1), attr, 0, -1, -1, 0)
    if event >= 0:
        os.close(event)
    return event >= 0


@pytest.fixture
def programs(tmp_path):
    """The programs, where they may write beside themselves."""
    shutil.copytree(FOLDER, tmp_path / "causes")
    return tmp_path / "causes"


def pages_of(rows):
    """Pages by name."""
    return collections.Counter({row["name"]: row["pages"] for row in rows})


def pages_by_line(rows, program):
    """Pages by line of the program."""
    here = [row for row in rows if row["name"].startswith(f"{program}.py:")]
    return collections.Counter({int(row["name"].split(":")[1].split()[0]): row["pages"] for row in here})


def grown(steps, name, cause):
    """Pages that a step broke for a cause."""
    index = [step["name"] for step in steps].index(name)
    after, before = steps[index]["causes"], steps[index - 1]["causes"]
    return after.get(cause, 0) - before.get(cause, 0)


@pytest.mark.parametrize("program", PROGRAMS)
def test_breaks_have_the_known_cause_object_and_line(program, programs):
    found = json.loads(forkprint.run(programs / f"{program}.py", workers=1).to_json())
    truth = json.loads((programs / f"{program}.py.truth.json").read_text())
    if "not_here" in truth:
        pytest.skip(truth["not_here"])
    if not can_witness():
        pytest.skip("page faults cannot be witnessed here")
    assert found["about"]["witness"] == "sigtrap", found["about"]["notes"]

    by_cause, by_line, by_field = collections.Counter(), collections.Counter(), collections.Counter()
    most = {}
    for expected in truth["expectations"]:
        known = len(expected["pages"])
        why = expected["step"], expected["cause"]
        # 99 % are broken in the step, and 99 % of these are explained.
        least = known * expected.get("least", 0.99) * 0.99
        by_cause[why] += least
        most[why] = expected.get("most", most.get(why, 0) + 1.05 * known)
        if "line" in expected:
            by_line[expected["line"]] += least
        if "field" in expected:
            by_field[f"{expected['type']}.{expected['field'].lstrip('.')}"] += least

    for (step, cause), pages in by_cause.items():
        assert pages <= grown(found["steps"], step, cause) <= most[step, cause] + 60, (step, cause)
    lines = pages_by_line(found["explained"]["by_line"], program)
    assert not by_line - lines, found["explained"]["by_line"]
    fields = pages_of(found["explained"]["by_field"])
    assert not by_field - fields, found["explained"]["by_field"]
    sums = found["reconciliation"]
    parts = ("explained", "kernel_writes", "floor", "unexplained")
    assert sums["broken"] == sum(sums[part] for part in parts)
    assert sums["lost_samples"] == 0
