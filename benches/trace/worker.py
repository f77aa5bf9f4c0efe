"""A target in Python: like the one in target.rs, but ten calls deep.

Arguments: `write` (a byte into each page of a bytearray) or `names` (a loop over strings, which writes
their reference counts); the agent library, or nothing; its socket.
"""

import gc
import os
import sys
import time
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_loader

KIND, LIBRARY, SOCKET = sys.argv[1:4]
PAGES, PAGE, DEPTH = 50_000, 4096, 10
# A page of pymalloc holds at least 63 strings of 15 letters, which take 64 bytes each.
if KIND == "names":
    DATA = ["name-%010d" % number for number in range(66 * PAGES)]
else:
    DATA = bytearray(b"x") * (PAGES * PAGE + PAGE)


def names():
    for name in DATA:
        pass


def names_again():
    for _ in range(3):
        names()


def write(first=0, pages=PAGES):
    for at in range(first + 64, first + pages * PAGE, PAGE):
        DATA[at] = 7


def write_again():
    """So many pages at a time that caches hold them, and where their copies lie hardly matters."""
    for first in range(0, PAGES * PAGE, 62 * PAGE):
        for _ in range(40):
            write(first, min(62, PAGES - first // PAGE))


def at_depth(depth, work):
    return at_depth(depth - 1, work) if depth else work()


def timed(work):
    start, busy = time.perf_counter(), time.process_time()
    at_depth(DEPTH, work)
    return f"{time.perf_counter() - start} {time.process_time() - busy}"


def load_agent():
    agent = module_from_spec(spec_from_loader("_forkprint_agent", ExtensionFileLoader("_forkprint_agent", LIBRARY)))
    agent.configure(int(SOCKET))
    agent.watch()


gc.disable()
if LIBRARY:
    load_agent()
print("ready", flush=True)
WORK, WORK_AGAIN = (write, write_again) if KIND == "write" else (names, names_again)
for _line in sys.stdin:
    if os.fork() == 0:
        print(timed(WORK), timed(WORK_AGAIN), flush=True)
        os._exit(0)
    os.wait()
    print("ended", flush=True)
