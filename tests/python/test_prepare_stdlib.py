"""The standard library's own tests of what a prepared heap is made of."""

import importlib.util
import json
import pathlib
import subprocess
import sys

import pytest

from test_prepare import needs_immortal

RUNNER = pathlib.Path(__file__).with_name("stdlib_prepared.py")
LOADED = importlib.util.spec_from_file_location("stdlib_prepared", RUNNER)
stdlib_prepared = importlib.util.module_from_spec(LOADED)
LOADED.loader.exec_module(stdlib_prepared)


@needs_immortal
@pytest.mark.skipif(importlib.util.find_spec("test.test_gc") is None, reason="this Python came without its tests")
def test_the_standard_librarys_tests_pass_on_a_prepared_heap(tmp_path):
    done = subprocess.run([sys.executable, RUNNER, "--late"], cwd=tmp_path, capture_output=True, text=True, timeout=900)
    told = json.loads(done.stdout.splitlines()[-1])
    print(told)
    assert done.returncode == 0, (told, done.stderr[-2_000:])
    assert told["ran"] > 1_500 and told["passed"] > 0.95 * told["ran"]


def test_the_runner_overlooks_nothing():
    ran = {f"test.test_m.C.test_{name}" for name in "abcd"}
    judged = stdlib_prepared.judged

    def verdict(failed, skipped, listed):
        told = judged(ran, {f"test.test_m.C.test_{n}" for n in failed}, {f"test.test_m.C.test_{n}" for n in skipped}, listed)
        return stdlib_prepared.is_right(told), told

    assert verdict("", "", {})[0] and verdict("a", "b", {"C.test_a": "reason"})[0]
    assert verdict("a", "b", {"C.test_a": "reason"})[1]["passed"] == 2
    assert not verdict("a", "", {})[0]
    assert verdict("", "", {"C.test_b": "reason"})[1]["contradictory_but_passed"] == ["C.test_b"]
    assert not verdict("", "", {"C.test_b": "reason"})[0]
    assert not verdict("", "b", {"C.test_b": "reason"})[0]
    assert not verdict("", "", {"C.test_gone": "reason"})[0]
    assert not verdict("", "abcd", {})[0]
