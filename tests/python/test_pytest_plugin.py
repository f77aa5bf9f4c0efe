"""The pytest plugin, on test files whose children dirty a known number of pages."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import forkprint
import pytest

pytest_plugins = ["pytester"]

PAGE = 4096
#: What running a test body costs in the interpreter's own pages, at most.
NOISE = 150

HEAD = """
import os, signal, mmap, threading, time
import pytest

@pytest.fixture(scope="module")
def memory():
    memory = mmap.mmap(-1, 2000 * 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory[:] = b"1" * len(memory)
    return memory

def dirty(memory, pages, byte):
    for page in range(pages):
        memory[page * 4096] = byte
"""


@pytest.fixture
def run(pytester):
    def run(source, *words):
        pytester.makepyfile(HEAD + textwrap.dedent(source))
        return pytester.runpytest_subprocess(*words)

    return run


def mmap_dirty(pages, byte):
    import mmap

    memory = mmap.mmap(-1, 2000 * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory[:] = b"1" * len(memory)

    def dirty():
        for page in range(pages):
            memory[page * PAGE] = byte

    return memory, dirty


def own_ghosts(step):
    """Ghosts that the worker itself wrote. The parent goes on, and breaks pages too."""
    return step.ghost - step.ghost_zygote_only


def grown(recording, count):
    floor, step = recording.steps
    return [count(after) - count(before) for before, after in zip(floor.workers, step.workers)]


@pytest.mark.parametrize("byte, ghosts", [(50, 0), (49, 1000)])
def test_measure_finds_the_pages_that_children_dirty(byte, ghosts):
    memory, dirty = mmap_dirty(1000, byte)
    recording = forkprint.measure(dirty, workers=2)
    assert [step.name for step in recording.steps][0] == "fork"
    assert len(recording.workers) == 2
    for broken in grown(recording, lambda step: step.broken_by_worker):
        assert 1000 <= broken <= 1000 + NOISE
    for ghost in grown(recording, own_ghosts):
        # A ghost of the fork that the function then changes is one less.
        assert ghosts - NOISE <= ghost <= ghosts + NOISE
    assert memory[0] == 49, "the parent's memory is its own"


def test_measure_leaves_no_process_behind():
    forkprint.measure(lambda: None, workers=2)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@pytest.mark.parametrize(
    "function, kind, told",
    [
        (lambda: 1 / 0, "failed", "ZeroDivisionError"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "ended", "SIGKILL"),
        (lambda: os._exit(3), "ended", "exit status 3"),
        (lambda: signal.pause(), "hung", "did not end"),
    ],
)
def test_a_child_that_fails_is_told_and_reaped(function, kind, told):
    with pytest.raises(forkprint.ChildFailed, match=told) as failed:
        forkprint.measure(function, workers=1, timeout=300 if kind != "hung" else 0.5)
    assert (failed.value.kind, failed.value.worker) == (kind, 0)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@pytest.mark.parametrize("arguments", [{"workers": 0}, {"workers": True}, {"timeout": 0}])
def test_measure_refuses_what_it_cannot_do(arguments):
    with pytest.raises(forkprint.ForkprintError, match="fix:"):
        forkprint.measure(lambda: None, **arguments)


def test_limits_hold_to_the_page(run):
    result = run("""
        @pytest.mark.forkprint(max_broken="5 MiB", workers=2)
        def test_fine(memory):
            dirty(memory, 1000, 50)

        @pytest.mark.forkprint(max_broken=1000 * 4096 - 1, workers=2)
        def test_too_much(memory):
            dirty(memory, 1000, 50)

        @pytest.mark.forkprint(max_broken="5 MiB", max_ghost="2 MiB")
        def test_ghosts(memory):
            dirty(memory, 1000, 49)

        @pytest.mark.forkprint(max_ghost="2 MiB")
        def test_no_ghosts(memory):
            dirty(memory, 1000, 50)

        @pytest.mark.forkprint(max_fresh="2 MiB")
        def test_fresh(memory):
            fresh = mmap.mmap(-1, 1000 * 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            fresh[:] = b"1" * len(fresh)

        def test_unmarked(memory):
            assert memory[0] == 49, "the children's writes are their own"
    """)
    result.assert_outcomes(passed=3, failed=3)
    result.stdout.fnmatch_lines([
        "*max_broken=3.9 MiB is exceeded in 2 of 2 forked workers*",
        "*worker 0 broke *MiB of *MiB inherited*",
        "*worker 1 broke *MiB of *MiB inherited*",
        "*broken in all workers together: *MiB*",
    ])
    result.stdout.fnmatch_lines(["*max_ghost=2 MiB is exceeded in 1 of 1*"])
    result.stdout.fnmatch_lines(["*max_fresh=2 MiB is exceeded in 1 of 1*"])


def test_what_happens_in_a_child_happens_to_the_test(run):
    result = run("""
        LIMIT = pytest.mark.forkprint(max_broken="50%")

        @LIMIT
        def test_fails(memory):
            value = 7
            print("said in the child")
            assert value == 8

        @LIMIT
        def test_skips(memory):
            pytest.skip("not today")

        @LIMIT
        def test_xfails(memory):
            pytest.xfail("known")

        @LIMIT
        @pytest.mark.parametrize("number", [1, 2])
        def test_parametrized(memory, number):
            assert number in (1, 2)

        class TestMethods:
            @LIMIT
            def test_method(self, memory, tmp_path):
                (tmp_path / "x").write_text("y")

        @LIMIT
        def test_dies(memory):
            os.kill(os.getpid(), signal.SIGKILL)

        @pytest.mark.forkprint(max_broken="50%", timeout=0.5)
        def test_hangs(memory):
            os.spawnlp(os.P_NOWAIT, "sleep", "sleep", "1000")
            signal.pause()
    """)
    result.assert_outcomes(passed=3, failed=3, skipped=1, xfailed=1)
    result.stdout.fnmatch_lines(["*in forked worker 0:*", "*assert value == 8*", "*assert 7 == 8*"])
    result.stdout.fnmatch_lines(["*said in the child*"])
    result.stdout.fnmatch_lines(["*was killed by SIGKILL*"])
    result.stdout.fnmatch_lines(["*did not end in 0.5 seconds*"])


@pytest.mark.parametrize(
    "arguments, told",
    [
        ("", "limits nothing"),
        ("'5 MiB'", "keywords only"),
        ("max_broken='5 parsecs'", "cannot read max_broken='5 parsecs'"),
        ("max_broken=-1", "cannot read"),
        ("max_broken=1, workers=0", "needs workers=1 or more"),
        ("max_broken=1, timeout=0", "needs a timeout"),
        ("max_brocken=1", "has no option 'max_brocken'"),
    ],
)
def test_markers_that_make_no_sense_fail_their_test(pytester, arguments, told):
    pytester.makepyfile(f"import pytest\n@pytest.mark.forkprint({arguments})\ndef test_it(): pass\n")
    result = pytester.runpytest_inprocess("--strict-markers")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"*{told}*"])


def test_coroutines_are_refused(run):
    result = run("""
        @pytest.mark.forkprint(max_broken="50%")
        async def test_it(memory):
            pass
    """)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*cannot run a coroutine*"])


def test_threads_and_warnings_as_errors_change_nothing(run):
    result = run(
        """
        @pytest.mark.forkprint(max_broken="50%", workers=2)
        def test_it(memory):
            dirty(memory, 10, 50)

        @pytest.fixture(autouse=True)
        def thread():
            stop = threading.Event()
            thread = threading.Thread(target=stop.wait)
            thread.start()
            yield
            stop.set()
            thread.join()
        """,
        "-W",
        "error",
        "--strict-markers",
    )
    result.assert_outcomes(passed=1)


def test_the_plugin_can_be_left_out(run):
    result = run(
        """
        @pytest.mark.forkprint(max_broken=0)
        def test_it(memory):
            dirty(memory, 1000, 50)
        """,
        "-p",
        "no:forkprint",
    )
    result.assert_outcomes(passed=1)


def test_no_child_outlives_an_interrupted_pytest(pytester):
    pytester.makepyfile("""
        import os, pathlib, signal, pytest

        @pytest.mark.forkprint(max_broken="50%")
        def test_it():
            pathlib.Path("child.part").write_text(str(os.getpid()))
            os.rename("child.part", "child")
            signal.pause()
    """)
    words = [sys.executable, "-m", "pytest", "-q"]
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    path = pytester.path / "child"
    deadline = time.monotonic() + 60
    while not path.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    child = int(path.read_text())
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert b"KeyboardInterrupt" in output
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
