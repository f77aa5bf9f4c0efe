"""Runs the standard library's own tests in a process that prepared itself with forkprint.prepare_fork().

usage: stdlib_prepared.py [--plain | --late] [MODULE...]

    --plain  prepares nothing: which tests fail on this machine anyway
    --late   prepares again when the tests are loaded, so that they themselves are immortal

Tests that contradict a prepared heap by their very nature stand in CONTRADICTORY, each with the
reason. They run, too, and must fail: one that passes, or that is gone, is an error, as is any other test
that fails. Prints what was counted, as JSON, on the last line.
"""

import gc
import json
import sys
import unittest

MODULES = [
    "test.test_gc",
    "test.test_weakref",
    "test.test_weakset",
    "test.test_copy",
    "test.test_pickle",
    "test.test_pickletools",
    "test.test_json",
    "test.test_dict",
    "test.test_dictviews",
    "test.test_ordered_dict",
]

#: Class and test -> why a prepared heap fails it, by its very nature. None does on CPython 3.12 and 3.13:
#: what the tests make, count and collect is made after the heap was prepared.
CONTRADICTORY = {}


class Result(unittest.TextTestResult):
    """Remembers what became of each test. A test with subtests fails when one of them does."""

    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **more)
        self.ran, self.failed, self.skipped_tests = set(), {}, set()

    def startTest(self, test):
        super().startTest(test)
        self.ran.add(test.id())

    def addError(self, test, error):
        super().addError(test, error)
        self.failed[test.id()] = self.errors[-1][1]

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self.failed[test.id()] = self.failures[-1][1]

    def addSubTest(self, test, subtest, error):
        super().addSubTest(test, subtest, error)
        if error is not None:
            self.failed[test.id()] = self._exc_info_to_string(error, subtest)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.skipped_tests.add(test.id())


def short(identity):
    return ".".join(identity.split(".")[-2:])


def main():
    arguments = sys.argv[1:]
    mode = arguments.pop(0) if arguments and arguments[0] in ("--plain", "--late") else "--start"
    modules = arguments or MODULES
    if mode != "--plain":
        import forkprint

        prepared = forkprint.prepare_fork()
        print(prepared, file=sys.stderr)
        assert prepared.immortalised > 1_000 and gc.get_freeze_count() > 1_000
    suite = unittest.defaultTestLoader.loadTestsFromNames(modules)
    if mode == "--late":
        print(forkprint.prepare_fork(), file=sys.stderr)
    runner = unittest.TextTestRunner(resultclass=Result, stream=sys.stderr, verbosity=0)
    result = runner.run(suite)

    listed = {} if mode == "--plain" else CONTRADICTORY
    if modules != MODULES:
        listed = {name: why for name, why in listed.items() if any(short(ran) == name for ran in result.ran)}
    told = judged(result.ran, set(result.failed), result.skipped_tests, listed)
    print(json.dumps(told))
    sys.exit(0 if is_right(told) else 1)


def judged(ran, failed, skipped, listed):
    """What became of the tests, given those that contradict a prepared heap."""
    passed = ran - failed - skipped
    return {
        "ran": len(ran),
        "passed": len(passed),
        "skipped_by_themselves": len(skipped),
        "contradictory": sorted({short(test) for test in failed} & set(listed)),
        "failed": sorted(test for test in failed if short(test) not in listed),
        "contradictory_but_passed": sorted({short(test) for test in ran - failed} & set(listed)),
        "contradictory_but_gone": sorted(set(listed) - {short(test) for test in ran}),
    }


def is_right(told):
    """Whether tests passed, and failed where they are listed, and nowhere else."""
    wrong = told["failed"] or told["contradictory_but_passed"] or told["contradictory_but_gone"]
    return bool(told["passed"]) and not wrong


if __name__ == "__main__":
    main()
