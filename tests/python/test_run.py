import json
import os
import pickle
import signal
import subprocess
import sys

import pytest

import forkprint

MIB = 1 << 20

STRINGS = """
strings = [f"string-{number}" for number in range(100_000)]

@forkprint.step
def iterate():
    for string in strings: pass

@forkprint.step
def rest(): pass
"""


def test_a_run_finds_what_a_loop_breaks(workload):
    recording = forkprint.run(workload(STRINGS), workers=2)
    assert [step.name for step in recording.steps] == ["fork", "iterate", "rest"]
    assert recording.complete and recording.error is None
    assert recording.runtime == "python"
    assert recording.runtime_version == "CPython %d.%d.%d" % sys.version_info[:3]
    before, after, rest = recording.steps
    assert len(after.workers) == 2
    for first, second in zip(before.workers, after.workers):
        assert second.broken - first.broken > 1_500
        assert second.ghost > 0.9 * (second.broken - first.broken)
        assert second.broken_bytes == second.broken * 4096
    assert after.regions["pymalloc arena"] > 0.9 * (after.broken - before.broken)
    assert rest.broken - after.broken < 100
    assert recording.step("iterate") == after
    with pytest.raises(KeyError, match="no step 'itreate'; the steps are 'fork', 'iterate', 'rest'"):
        recording.step("itreate")
    for worker in after.workers:
        assert worker.ghost_zygote_only <= min(worker.ghost, worker.broken_by_zygote)
        assert worker.uncompared_zygote_only <= worker.uncompared


def test_a_run_says_who_wrote_and_why(workload):
    path = workload(STRINGS)
    recording = forkprint.run(path, workers=2)
    sums = recording.reconciliation
    assert sums.broken == sums.explained + sums.kernel_writes + sums.floor + sums.unexplained
    if recording.witness == "none":
        pytest.skip("writes cannot be witnessed here")
    assert sums.unexplained <= sums.broken // 100 + 4 and sums.lost_samples == 0
    explained = recording.explained
    assert "reference counts" in explained.headline
    line = explained.by_line[0]
    with open(path) as file:
        source = file.read().splitlines()
    assert source[line.line - 1].strip() == "for string in strings: pass"
    assert (line.function, line.cause) == ("iterate", "refcount") and line.share > 80
    assert explained.by_field[0].name == "str.ob_refcnt"
    assert explained.by_owner[0].name.endswith(".strings[*]")
    assert line.name in repr(explained)
    untraced = forkprint.run(path, workers=2, witness="none")
    assert untraced.witness == "none" and untraced.explained.by_line == ()
    with pytest.raises(forkprint.ForkprintError, match="no witness of breaks"):
        forkprint.run(path, witness="crystal ball")


def size(pages):
    return f"{pages * 4096 / MIB:.1f} MiB"


def test_every_part_shows_itself_in_sizes(workload):
    recording = forkprint.run(workload(STRINGS), workers=2)
    step = recording.step("iterate")
    mean = size(step.broken / 2)
    assert "2 workers, " in repr(recording) and "per worker:" in repr(recording).splitlines()[0]
    assert [line.split()[1:3] for line in repr(recording).splitlines() if "iterate" in line] == [mean.split()]
    shown = {
        repr(step): [f"per worker: {mean} broken", "broken in all workers together: pymalloc arena "],
        repr(step.workers[1]): [f"worker 1, process {step.workers[1].pid}: {size(step.workers[1].broken)} broken of "],
        repr(recording.reconciliation): [f"{size(recording.reconciliation.broken)} broken", " unexplained"],
        repr(recording.workers[0]): ["<Worker 0, process ", ": served until it was stopped>"],
        repr(recording.zygote): [size(recording.zygote.private_pages)],
    }
    for text, parts in shown.items():
        assert all(part in text for part in parts), text
        assert len(text.splitlines()) <= 2, text
    assert ": 1 worker, " in repr(forkprint.run(workload(STRINGS), workers=1))


def test_a_recording_is_a_value_that_can_be_written_and_read(workload, tmp_path):
    recording = forkprint.run(workload(STRINGS), workers=1)
    assert json.loads(recording.to_json())["schema_version"] == 1
    assert "iterate" in repr(recording) and "MiB" in repr(recording)
    assert "iterate" in str(recording)

    recording.save(tmp_path / "it.forkprint")
    assert forkprint.load(tmp_path / "it.forkprint") == recording
    recording.save_html(tmp_path / "it.html")
    assert (tmp_path / "it.html").read_text().lower().startswith("<!doctype html>")
    for save, path in ((recording.save, "it.forkprint"), (recording.save_html, "it.html")):
        with pytest.raises(forkprint.ForkprintError, match="(?s)refusing to overwrite.*force=True"):
            save(tmp_path / path)
        save(tmp_path / path, force=True)

    copy = pickle.loads(pickle.dumps(recording))
    assert copy == recording and copy.to_json() == recording.to_json()
    with pytest.raises(forkprint.ForkprintError, match="no page map"):
        copy.save_html(tmp_path / "copy.html")


def test_a_step_that_raises_keeps_what_was_measured(workload):
    recording = forkprint.run(workload("@forkprint.step\ndef bad(): raise ValueError('no luck')\n"), workers=1)
    assert not recording.complete
    assert "ValueError: no luck" in recording.error
    assert "ValueError: no luck" in repr(recording.workers[0])
    assert recording.steps[0].name == "fork"
    assert recording.workers[0].fate["kind"] == "failed"
    assert recording.findings


@pytest.mark.parametrize(
    ("source", "reason"),
    [("", "has no step"), ("1 / 0", "ZeroDivisionError"), ("def f(:", "SyntaxError")],
)
def test_a_workload_that_cannot_be_loaded_is_an_error(workload, source, reason):
    with pytest.raises(forkprint.ForkprintError, match=reason):
        forkprint.run(workload(source))


def test_wrong_arguments_are_errors(workload, tmp_path):
    path = workload("@forkprint.step\ndef f(): pass\n")
    with pytest.raises(forkprint.ForkprintError, match="(?s)without workers.*fix:   workers=1"):
        forkprint.run(path, workers=0)
    with pytest.raises(forkprint.ForkprintError, match='(?s)no such rung.*rung="pfn"'):
        forkprint.run(path, rung="rollup")
    with pytest.raises(forkprint.ForkprintError, match="timeout"):
        forkprint.run(path, timeout=-1)
    with pytest.raises(forkprint.ForkprintError, match="fix:   check the path"):
        forkprint.run(tmp_path / "none.py")
    with pytest.raises(forkprint.ForkprintError, match="it is a folder"):
        forkprint.run(tmp_path)
    with pytest.raises(forkprint.ForkprintError):
        forkprint.load(tmp_path / "none.forkprint")


def test_the_interpreter_can_be_shut_down_under_a_host(workload):
    source = STRINGS + "\n@forkprint.step(finalize=True)\ndef end(): pass\n"
    recording = forkprint.run(workload(source), workers=2)
    assert recording.complete, recording.error
    last = recording.step("end").workers[0]
    assert last.broken + last.gone > 2_000


def test_what_fork_breaks_does_not_depend_on_the_package(workload):
    """The zygote of the package is an ordinary interpreter: some hundred pages break at most."""
    recording = forkprint.run(workload("@forkprint.step\ndef f(): pass\n"), workers=1)
    assert recording.steps[-1].workers[0].broken < 600


def test_control_c_ends_a_run_and_its_processes(workload):
    path = workload("import time\n@forkprint.step\ndef forever():\n    print('here', flush=True)\n    time.sleep(600)\n")
    code = (
        "import forkprint, sys\n"
        "try: forkprint.run(sys.argv[1], workers=1)\n"
        "except KeyboardInterrupt: print(len(forkprint.family().workers), 'left')\n"
    )
    host = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    family = set()
    while len(family) < 3:
        assert host.poll() is None, host.stderr.read()
        family = {member.pid for member in forkprint.family(host.pid).members}
    os.kill(host.pid, signal.SIGINT)
    output, errors = host.communicate(timeout=60)
    assert "0 left" in output, (output, errors)


def test_the_command_line_is_the_same_as_a_module_and_as_a_script():
    script = os.path.join(os.path.dirname(sys.executable), "forkprint")
    for command in ([sys.executable, "-m", "forkprint"], [script]):
        version = subprocess.run([*command, "--version"], check=True, capture_output=True, text=True)
        assert version.stdout.strip() == f"forkprint {forkprint.__version__}"
        wrong = subprocess.run([*command, "run", "nonsense.py"], capture_output=True, text=True)
        assert wrong.returncode == 2 and "nonsense.py" in wrong.stderr


def test_servers_run_in_the_interpreter_of_the_package():
    for verb in ("analyze", "demo"):
        command = [sys.executable, "-m", "forkprint", verb, "--help"]
        shown = subprocess.run(command, check=True, capture_output=True, text=True)
        assert f"[default: {sys.executable}]" in " ".join(shown.stdout.split())


def test_the_command_line_measures(workload):
    path = workload(STRINGS)
    command = [sys.executable, "-m", "forkprint", "run", str(path), "-w", "1"]
    done = subprocess.run([*command, "--format", "json", "-o", "-"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [step["name"] for step in json.loads(done.stdout)["steps"]] == ["fork", "iterate", "rest"]
