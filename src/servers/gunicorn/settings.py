"""Prints, as JSON, the settings gunicorn itself would run with.

gunicorn reads the configuration file, GUNICORN_CMD_ARGS and the command line; nothing is imitated
here. Standard library and gunicorn only, CPython 3.9 and later.
"""
import sys

if sys.path and sys.path[0] == "":
    # `python -c` puts the working directory first; the `gunicorn` command does not.
    del sys.path[0]

import ast
import difflib
import json
import os
import platform

# Behind all others: for configurations that import forkprint where it is not installed.
sys.path.append(os.environ.pop("FORKPRINT_PACKAGE"))
STARTED_IN = os.getcwd()  # a configuration may change it
answer = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what a configuration prints is not the answer


def say(**fields):
    json.dump(fields, answer)
    answer.flush()


try:
    import gunicorn
    from gunicorn.app.base import Application
    from gunicorn.app.wsgiapp import WSGIApplication
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "gunicorn":
        raise
    say(missing="gunicorn", executable=sys.executable)
    raise SystemExit(0)


class Settings(WSGIApplication):
    """Loads what gunicorn loads, but does not insist on an application."""

    def load_config(self):
        Application.load_config(self)
        if self.app_uri is None:
            self.app_uri = self.cfg.wsgi_app


def syntax_tree(location):
    """The configuration's text, parsed; an empty module when it has none."""
    path = location[len("file:") :] if location.startswith("file:") else location
    try:
        with open(os.path.join(STARTED_IN, path), "rb") as file:
            return ast.parse(file.read())
    except (OSError, SyntaxError, ValueError):
        return ast.parse("")


def gc_calls(tree):
    """Names of the functions of module gc that a configuration calls."""
    modules, functions = {"gc"}, {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules.update(a.asname for a in node.names if a.name == "gc" and a.asname)
        elif isinstance(node, ast.ImportFrom) and node.module == "gc":
            functions.update((a.asname or a.name, a.name) for a in node.names)
    calls = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
            if called.value.id in modules:
                calls.add(called.attr)
        elif isinstance(called, ast.Name) and called.id in functions:
            calls.add(functions[called.id])
    return sorted(calls)


LIKE = 0.8  # share of letters in common, in order, from which a name is taken for another


def names_set(body):
    """The names that statements bind at module level, each with its line; imports bind other things."""
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name, node.lineno
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                for name in ast.walk(target):
                    if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store):
                        yield name.id, name.lineno
        elif not isinstance(node, ast.ClassDef):
            for part in ("body", "orelse", "finalbody"):
                yield from names_set(getattr(node, part, []))
            for handler in getattr(node, "handlers", []):
                yield from names_set(handler.body)


def misspelled(tree, known):
    """Names that gunicorn ignores though they are almost those of a setting or a hook.

    The command line calls some settings otherwise: --preload is preload_app. A name that the
    configuration itself reads is a variable of its own.
    """
    meanings = {
        option[2:].replace("-", "_"): name
        for name, setting in known.items()
        for option in setting.cli or ()
        if option.startswith("--")
    }
    meanings.update((name, name) for name in known)
    read = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    found = {}
    for name, line in names_set(tree.body):
        if name in known or name in read or name in found or name.startswith("_"):
            continue
        nearest = difflib.get_close_matches(name.lower(), meanings, n=1, cutoff=LIKE)
        if nearest:
            found[name] = {"name": name, "line": line, "meant": meanings[nearest[0]]}
    return list(found.values())


sys.argv[0] = "gunicorn"
app = Settings("%(prog)s [OPTIONS] [APP_MODULE]", prog="gunicorn")
cfg = app.cfg
try:
    # gunicorn looks at these only when it starts: what it would refuse then is refused now.
    environment, worker_class = cfg.env, cfg.worker_class_str
    _ = cfg.address, cfg.worker_class, cfg.logger_class
except (RuntimeError, AttributeError) as error:
    print("\nError: %s" % error, file=sys.stderr)
    raise SystemExit(1)

tree = syntax_tree(cfg.config or "")
say(
    settings={
        "python": list(sys.version_info[:3]),
        "implementation": platform.python_implementation(),
        "gunicorn_version": gunicorn.__version__,
        "wsgi_app": app.app_uri,
        "workers": cfg.workers,
        "worker_class": worker_class,
        "threads": cfg.threads,
        "preload_app": cfg.preload_app,
        "max_requests": cfg.max_requests,
        "max_requests_jitter": cfg.max_requests_jitter,
        "timeout": cfg.timeout,
        "graceful_timeout": cfg.graceful_timeout,
        "bind": list(cfg.bind),
        "chdir": cfg.chdir,
        "reload": cfg.reload,
        "tls": bool(cfg.is_ssl),
        "protocol": str(getattr(cfg, "protocol", "http")),
        "dirty_workers": getattr(cfg, "dirty_workers", 0),
        "raw_env_names": sorted(environment),
        "config_gc_calls": gc_calls(tree),
        "misspelled": misspelled(tree, cfg.settings),
        "description": ast.get_docstring(tree) or "",
    }
)
