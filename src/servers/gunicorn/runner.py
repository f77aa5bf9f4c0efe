"""Runs gunicorn unaltered, except that it tells forkprint about its forks.

Started as `python runner.py CONTROL LISTENER LIFELINE ARGUMENTS OF GUNICORN`, where the first three
are descriptors: a socket to forkprint, the listening socket to serve on, and a socket whose other
end forkprint holds for as long as it lives. Messages to forkprint are lines: a letter and numbers.

    f REFERENCE FROZEN ENABLED   the first worker is about to be forked; waits for one byte
    w PID                        a worker was forked
    r PID                        a worker is about to accept requests
    x PID STATUS                 a worker ended, with the status of waitpid

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
        if not os.read(self.fd, 1):
            os._exit(1)


class Forks:
    """Stands between the master and `os.fork`, `os.waitpid` and `gc.freeze`."""

    def __init__(self, line):
        self.line = line
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
        reference = self.fork()
        if not reference:
            while True:
                signal.pause()  # not a read of the lifeline: a waiting reader would mute its signal
        self.line.tell(b"f %d %d %d\n" % (reference, self.frozen, gc.isenabled()))
        self.line.wait()
        self.announce = lambda: None

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
    sys.argv[:4] = ["gunicorn"]
    forks = Forks(line)
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
