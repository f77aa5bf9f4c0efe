"""Runs gunicorn unaltered, except that it tells forkprint about its forks.

Started as `python runner.py CONTROL LISTENER LIFELINE WATCHER LIBRARY ARGUMENTS OF GUNICORN`, where the
first four are descriptors: a socket to forkprint, the listening socket to serve on, a socket whose other
end forkprint holds for as long as it lives, and the socket of the library that watches page faults (-1:
there is none). Messages to forkprint are lines: a letter and numbers.

    f REFERENCE FROZEN ENABLED WATCHER   the first worker is about to be forked; waits for one
                                         byte: g, or w to watch the workers
    w PID                                a worker was forked
    r PID                                a worker is about to accept requests
    x PID STATUS                         a worker ended, with the status of waitpid

WATCHER tells what the library can do here: 0 it was not preloaded, 1 it does not know this Python,
2 it watches but cannot read Python's frames, 3 it watches.

Standard library and gunicorn only, CPython 3.9 and later.
"""
import os
import sys

if sys.path and sys.path[0] == os.path.dirname(os.path.abspath(__file__)):
    # The script's folder comes first; with the `gunicorn` command the application's does.
    del sys.path[0]

import fcntl
import gc
import signal
from importlib.machinery import ExtensionFileLoader, ModuleSpec


# Behind all others: for applications that import forkprint where it is not installed.
sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "package"))


class Line:
    """The descriptors that forkprint gave."""

    def __init__(self, control, listener, lifeline):
        self.fd, self.listener, self.lifeline = control, listener, lifeline
        os.set_inheritable(control, False)
        os.set_inheritable(lifeline, False)
        # When forkprint dies, its end of the lifeline closes and the kernel kills the whole group.
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
        flags = fcntl.fcntl(lifeline, fcntl.F_GETFL)
        fcntl.fcntl(lifeline, fcntl.F_SETFL, flags | os.O_ASYNC)

    def tell(self, message):
        try:
            os.write(self.fd, message)
        except OSError:
            pass  # forkprint is gone, and so are we in a moment

    def wait(self):
        return os.read(self.fd, 1) or os._exit(1)


class Watcher:
    """The library that forkprint preloads: it watches the page faults of this process and its workers.

    Workers import nothing and start no thread for it: it arms them inside `fork()`.
    """

    NOT_PRELOADED, UNKNOWN_PYTHON, NO_FRAMES, READY = range(4)

    def __init__(self, socket, library):
        self.library, self.state = None, self.NOT_PRELOADED
        self.hide(library)
        if socket < 0:
            return
        if self.preloaded(library):
            self.begin(socket, library)
        os.close(socket)

    def begin(self, socket, library):
        self.state = self.UNKNOWN_PYTHON
        if not self.python_is_known():
            return
        try:
            self.library = self.load(library)
        except ImportError:  # half of it was mapped, from a file system without executables
            self.state = self.NOT_PRELOADED
            return
        self.library.configure(socket)
        self.state = self.READY

    @staticmethod
    def hide(library):
        """What the application starts is not to be watched, nor to find us in its environment."""
        preloads = os.environ.get("LD_PRELOAD", "").split(":")
        if library in preloads:
            preloads.remove(library)
            os.environ["LD_PRELOAD"] = ":".join(preloads)
            if not any(preloads):
                del os.environ["LD_PRELOAD"]

    @staticmethod
    def preloaded(library):
        with open("/proc/self/maps", "rb") as maps:
            return os.fsencode(os.path.realpath(library)) in maps.read()

    @staticmethod
    def python_is_known():
        free_threaded = "t" in getattr(sys, "abiflags", "")
        known = sys.implementation.name == "cpython" and (3, 9) <= sys.version_info[:2] <= (3, 13)
        return known and not free_threaded

    @staticmethod
    def load(path):
        """The library as a module; the dynamic linker gives the instance that was preloaded."""
        name = "_forkprint_agent"
        loader = ExtensionFileLoader(name, path)
        module = loader.create_module(ModuleSpec(name, loader, origin=path))
        sys.modules.pop(name, None)
        return module

    def take_census(self):
        """Lists all objects. Frames that the library cannot read it is told to leave alone."""
        if self.library:
            if not self.reads_frames():
                self.library.ignore_frames()
                self.state = self.NO_FRAMES
            self.library.census()

    def reads_frames(self):
        """Whether the library finds each frame, and its instruction, where Python does."""
        frame = sys._getframe()
        for depth, (code, instruction) in enumerate(self.library.frames()):
            if frame is None or code != id(frame.f_code):
                return False
            # The innermost frame has moved on since.
            if depth and self.byte_offset(code, instruction, frame.f_code) != frame.f_lasti:
                return False
            frame = frame.f_back
        return frame is None

    @staticmethod
    def byte_offset(address, instruction, code):
        if sys.version_info >= (3, 11):
            # A code object ends with its instructions, which its basic size does not count.
            return instruction - address - type(code).__basicsize__
        return instruction if sys.version_info < (3, 10) else 2 * instruction

    def watch(self):
        if self.library:
            self.library.watch()


class Forks:
    """Stands between the master and `os.fork`, `os.waitpid` and `gc.freeze`."""

    def __init__(self, line, watcher):
        self.line, self.watcher = line, watcher
        self.master = os.getpid()
        self.workers = set()
        self.spawning = False
        self.frozen = False
        self.fork, self.waitpid, self.freeze = os.fork, os.waitpid, gc.freeze
        os.fork, os.waitpid, gc.freeze = self.on_fork, self.on_waitpid, self.on_freeze

    def on_fork(self):
        if not self.spawning or os.getpid() != self.master:
            return self.fork()
        if not self.workers:
            self.announce()
        pid = self.fork()
        if pid:
            self.workers.add(pid)
            self.line.tell(b"w %d\n" % pid)
        return pid

    def announce(self):
        """Makes the reference, a sibling frozen at the fork, and lets forkprint look."""
        self.watcher.take_census()
        reference = self.fork()
        if not reference:
            while True:
                signal.pause()  # not a read of the lifeline: a waiting reader would mute its signal
        state = (reference, self.frozen, gc.isenabled(), self.watcher.state)
        self.line.tell(b"f %d %d %d %d\n" % state)
        self.announce = lambda: None
        if self.line.wait() == b"w":
            self.watcher.watch()

    def on_freeze(self):
        # From CPython 3.12 on gc.get_freeze_count() counts immortal objects too: it cannot tell.
        self.frozen = True
        self.freeze()

    def on_waitpid(self, pid, options):
        found, status = self.waitpid(pid, options)
        if found in self.workers and os.getpid() == self.master:
            self.line.tell(b"x %d %d\n" % (found, status))
        return found, status

    def spawn(self, spawn_worker):
        """Wraps `Arbiter.spawn_worker`, to tell workers from other children of the master."""

        def wrapper(arbiter):
            self.spawning = True
            try:
                return spawn_worker(arbiter)
            finally:
                self.spawning = False

        return wrapper


def settings_of_ours(line):
    """What must differ from a deployment: nothing of a running server may be touched."""
    return {
        "bind": ["fd://%d" % line.listener],
        "daemon": False,
        "reuse_port": False,
        "pidfile": None,
        "check_config": False,
        "print_config": False,
        "errorlog": "-",
        "syslog": False,
        "statsd_host": None,
        "certfile": None,
        "keyfile": None,
        "control_socket": os.path.join(os.path.dirname(os.path.abspath(__file__)), "gunicorn.ctl"),
    }


def main():
    line = Line(*map(int, sys.argv[1:4]))
    watcher = Watcher(int(sys.argv[4]), sys.argv[5])
    sys.argv[:6] = ["gunicorn"]
    forks = Forks(line, watcher)
    try:
        from gunicorn.app.wsgiapp import WSGIApplication
        from gunicorn.arbiter import Arbiter
    except ModuleNotFoundError:
        raise SystemExit("gunicorn is not installed for %s" % sys.executable)

    class Application(WSGIApplication):
        def load_config(self):
            super().load_config()
            for name, value in settings_of_ours(line).items():
                if name in self.cfg.settings:
                    self.cfg.set(name, value)
            if self.cfg.accesslog:
                self.cfg.set("accesslog", "-")
            initialized = self.cfg.post_worker_init

            def post_worker_init(worker):
                initialized(worker)
                line.tell(b"r %d\n" % os.getpid())

            self.cfg.set("post_worker_init", post_worker_init)

    Arbiter.spawn_worker = forks.spawn(Arbiter.spawn_worker)
    Application("%(prog)s [OPTIONS] [APP_MODULE]", prog="gunicorn").run()


if __name__ == "__main__":
    main()
