"""Each shipped workload does what its docstring says, on this version of CPython."""

import ast

import pytest
from conftest import WORKLOADS

import forkprint

NAMES = sorted(path.stem for path in WORKLOADS.glob("*.py"))


def measure(shipped, name):
    recording = forkprint.run(shipped(name), workers=1)
    assert recording.complete, recording.error
    worker = {step.name: step.workers[0] for step in recording.steps}
    return recording, worker


def new(worker, step, before="fork"):
    """Pages broken by a step, without what broke before it."""
    return worker[step].broken - worker[before].broken


@pytest.mark.parametrize("name", NAMES)
def test_every_workload_says_what_it_does(name, shipped):
    tree = ast.parse(shipped(name).read_text(), feature_version=(3, 9))
    assert len(ast.get_docstring(tree)) > 200


def test_iteration_breaks_every_string(shipped):
    recording, worker = measure(shipped, "refcount_iteration")
    assert 7_500 < new(worker, "iterate") < 8_500
    assert worker["iterate"].ghost > 0.95 * new(worker, "iterate")
    assert new(worker, "iterate_again", "iterate") < 50


def test_reading_attributes_breaks_objects_and_values(shipped):
    recording, worker = measure(shipped, "objects_with_attributes")
    assert 5_000 < new(worker, "read_balances") < 11_500
    assert worker["read_everything"].broken > 0.6 * worker["fork"].inherited


def test_a_dictionary_stays_shared_and_its_contents_do_not(shipped):
    recording, worker = measure(shipped, "dict_iteration")
    assert 3_700 < new(worker, "keys") < 4_300
    assert 1_500 < new(worker, "values", "keys") < 2_300
    assert new(worker, "look_up", "values") < 50


def test_walking_a_tenth_breaks_about_a_tenth(shipped):
    recording, worker = measure(shipped, "nested_containers")
    assert new(worker, "walk_a_tenth") == pytest.approx(new(worker, "walk_everything") / 10, rel=0.3)


def test_packed_buffers_stay_shared(shipped):
    recording, worker = measure(shipped, "packed_buffer")
    assert worker["fork"].inherited > 12_000
    assert new(worker, "count_bytes") < 150


def test_freezing_takes_the_collection_away(shipped):
    recording, plain = measure(shipped, "gc_collect")
    recording, frozen = measure(shipped, "gc_freeze_collect")
    assert new(plain, "collect") > 5_000
    assert new(frozen, "collect") < 150


def test_cold_functions_break_at_the_first_call(shipped):
    recording, worker = measure(shipped, "cold_functions")
    assert new(worker, "first_call") > 4_500
    assert new(worker, "warm_up", "first_call") < 100


def test_hashes_take_the_ghosts_away(shipped):
    recording, worker = measure(shipped, "hash_caching")
    assert worker["iterate"].ghost > 0.9 * new(worker, "iterate")
    assert new(worker, "hash_every_string", "iterate") < 50
    assert worker["hash_every_string"].ghost < 0.05 * worker["hash_every_string"].broken


def test_a_true_write_changes_few_bytes(shipped):
    recording, worker = measure(shipped, "attribute_writes")
    assert new(worker, "write_one_in_32") > 7_000
    assert worker["write_one_in_32"].ghost < 0.05 * worker["write_one_in_32"].broken
    assert worker["write_one_in_32"].bytes_changed < 0.02 * worker["write_one_in_32"].broken_bytes


def test_shutting_down_writes_the_whole_heap(shipped):
    recording, worker = measure(shipped, "interpreter_shutdown")
    lost = worker["shut_down"].broken + worker["shut_down"].gone - worker["serve"].broken
    assert lost > 0.6 * worker["fork"].inherited


def test_requests_erode_what_is_shared_ever_more_slowly(shipped):
    recording, worker = measure(shipped, "request_mix")
    first = new(worker, "first_request")
    ten = new(worker, "ten_requests")
    hundred = new(worker, "hundred_requests")
    thousand = new(worker, "thousand_requests")
    assert 100 < first < ten < hundred < thousand < 6_500
    assert (thousand - hundred) / 900 < (ten - first) / 9
