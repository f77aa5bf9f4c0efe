import importlib.util
import os
import signal
import subprocess
import sys
import time
import types

import pytest

import forkprint

from test_prepare import IMMORTAL, python

SHOP = """
catalogue = [{"number": n, "name": f"name-{n}"} for n in range(20_000)]

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(sum(len(product["name"]) for product in catalogue)).encode()]
"""
ANSWER = str(sum(len(f"name-{n}") for n in range(20_000)))
ASK = """
import socket, sys
connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
connection.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
print(b"".join(iter(lambda: connection.recv(4096), b"")).decode().rpartition("\\n")[2])
"""


def served(tmp_path, *options):
    """What gunicorn logs while two workers answer, and what they answer."""
    (tmp_path / "shop.py").write_text(SHOP)
    command = [sys.executable, "-m", "gunicorn", "-b", "unix:socket", "-w", "2", *options, "shop:app"]
    server = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    try:
        lines = []
        for line in server.stderr:
            lines.append(line)
            if sum("Booting worker" in told for told in lines) == 2:
                break
        ask = [sys.executable, "-c", ASK, "socket"]
        answer = subprocess.run(ask, cwd=tmp_path, capture_output=True, text=True, timeout=60).stdout.strip()
        server.send_signal(signal.SIGTERM)
        rest = server.communicate(timeout=60)[1]
        assert server.returncode == 0
        return "".join(lines) + rest, answer
    finally:
        server.kill()
        server.wait()


gunicorn_here = pytest.mark.skipif(
    importlib.util.find_spec("gunicorn") is None, reason="gunicorn is not installed here"
)


@gunicorn_here
def test_gunicorn_reads_the_module_as_its_configuration(tmp_path):
    log, answer = served(tmp_path, "-c", "python:forkprint.gunicorn")
    assert answer == ANSWER
    (line,) = [line for line in log.splitlines() if "forkprint: " in line and "froze" in line]
    assert ("objects immortal" in line) == IMMORTAL
    assert log.index("forkprint: ") < log.index("Booting worker") and "preload_app is off" not in log


@gunicorn_here
def test_gunicorn_takes_the_hook_from_a_configuration(tmp_path):
    (tmp_path / "own.py").write_text("from forkprint.gunicorn import when_ready\n")
    log, answer = served(tmp_path, "-c", "own.py")
    assert answer == ANSWER and "forkprint: preload_app is off" in log
    (tmp_path / "own.py").write_text("from forkprint.gunicorn import preload_app, when_ready\n")
    assert "preload_app is off" not in served(tmp_path, "-c", "own.py")[0]


@gunicorn_here
def test_gunicorn_goes_on_where_a_worker_calls_it(tmp_path):
    hook = "preload_app = True\ndef post_fork(server, worker):\n    from forkprint.gunicorn import prepare\n    prepare(server)\n"
    (tmp_path / "own.py").write_text(hook)
    log, answer = served(tmp_path, "-c", "own.py")
    assert answer == ANSWER and "prepare_fork() was called in a worker" in log


def test_uwsgi_is_asked_who_forks(monkeypatch):
    monkeypatch.delitem(sys.modules, "uwsgi", raising=False)
    monkeypatch.setitem(sys.modules, "uwsgi", None)
    from forkprint.uwsgi import prepare

    assert prepare() is None
    logged = []
    host = types.SimpleNamespace(worker_id=lambda: 0, opt={"lazy-apps": True}, log=logged.append)
    monkeypatch.setitem(sys.modules, "uwsgi", host)
    assert prepare(freeze=False) is None and "lazy-apps" in logged.pop()
    host.opt = {}
    prepared = prepare(roots=(), freeze=False, collect=False, immortal=False)
    assert logged[0] == f"forkprint: {prepared.summary()}" and len(logged) == 1 + len(prepared.notes)
    host.worker_id = lambda: 2
    assert prepare() is None


celery_here = pytest.mark.skipif(importlib.util.find_spec("celery") is None, reason="Celery is not installed here")


@celery_here
def test_celery_prepares_before_its_pool(tmp_path):
    (tmp_path / "tasks.py").write_text(
        "import forkprint.celery\nfrom celery import Celery\n"
        "app = Celery('shop', broker='memory://')\nforkprint.celery.install(app)\n"
    )
    command = [sys.executable, "-m", "celery", "-A", "tasks", "worker", "-c", "2", "-l", "info", "--without-mingle"]
    log = tmp_path / "log"
    with open(log, "w") as file:
        worker = subprocess.Popen(command, cwd=tmp_path, stdout=file, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 60
        while " ready." not in log.read_text() and time.monotonic() < deadline and worker.poll() is None:
            time.sleep(0.05)
        worker.send_signal(signal.SIGTERM)
        worker.wait(timeout=60)
    finally:
        worker.kill()
        worker.wait()
    told = [line for line in log.read_text().splitlines() if "forkprint: " in line and "froze" in line]
    assert len(told) == 1 and "MainProcess" in told[0], log.read_text()


POOL = """
import os, sys
if __name__ == "__main__":
    import forkprint.multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    import multiprocessing
    assert multiprocessing.__spec__.origin != forkprint.multiprocessing.__spec__.origin
    context = forkprint.multiprocessing.get_context(exclude=[dict])
    assert context.prepared is None and context.get_start_method() == "fork"
    with context.Pool(2) as pool:
        first = context.prepared
        assert first is not None and first.step("freeze").done
        assert pool.map(len, [[1], [1, 2]]) == [1, 2]
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        assert list(executor.map(abs, [-1, -2])) == [1, 2]
    process = context.Process(target=os._exit, args=(7,))
    process.start()
    process.join()
    assert process.exitcode == 7 and context.prepared is first
    print("done")
"""


def test_a_context_prepares_once_before_its_first_worker():
    assert python(POOL, "-W", "ignore") == "done\n"


def test_any_first_fork_can_be_waited_for():
    program = """
import forkprint.multiprocessing, multiprocessing, os, subprocess, sys
pending = forkprint.multiprocessing.prepare_before_fork(warm=False)
subprocess.run(["true"])
assert pending.prepared is None
pid = os.fork()
if pid == 0:
    os._exit(0 if pending.prepared is not None else 1)
assert os.waitpid(pid, 0)[1] == 0
assert pending.prepared.step("warm").why_not == "switched off"
first = pending.prepared
if os.fork() == 0:
    os._exit(0)
os.wait()
assert pending.prepared is first
second = forkprint.multiprocessing.prepare_before_fork()
process = multiprocessing.get_context("fork").Process(target=print, args=("in a worker",), kwargs={"flush": True})
process.start(); process.join()
assert second.prepared is not None
"""
    assert python(program) == "in a worker\n"


def test_a_forkserver_prepares_itself(tmp_path):
    (tmp_path / "heavy.py").write_text("rows = [[n] for n in range(10_000)]\n")
    (tmp_path / "asks.py").write_text(
        "def asked():\n"
        "    import sys\n"
        "    forkserver = sys.modules['forkprint._forkserver']\n"
        "    return 'heavy' in sys.modules, forkserver.prepared.step('freeze').objects\n"
    )
    program = """
import forkprint.multiprocessing, sys
sys.path.insert(0, "")
import asks
context = forkprint.multiprocessing.get_context("forkserver", preload=["heavy"])
with context.Pool(1) as pool:
    loaded, frozen = pool.apply(asks.asked)
assert loaded and frozen > 10_000, (loaded, frozen)
try:
    forkprint.multiprocessing.get_context("forkserver")
except ValueError as error:
    print(error)
"""
    assert "runs already" in python(program, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)})


def test_contexts_refuse_what_cannot_be_meant():
    from forkprint.multiprocessing import get_context, prepare_before_fork

    with pytest.raises(ValueError, match="'spawn' share nothing"):
        get_context("spawn")
    with pytest.raises(ValueError, match="preload= names what a forkserver imports"):
        get_context(preload=["json"])
    with pytest.raises(TypeError, match="not handed on to a forkserver: freeze"):
        get_context("forkserver", freeze=False)
    for make in (get_context, prepare_before_fork):
        with pytest.raises(TypeError, match="prepare_fork\\(\\) has no option 'frozen'"):
            make(frozen=True)


def test_modules_of_the_same_names_stay_what_they_are():
    import multiprocessing

    assert not multiprocessing.__file__.startswith(os.path.dirname(forkprint.__file__))
