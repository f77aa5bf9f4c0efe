"""A target in Python: like the one in target.rs, but ten calls deep.

Arguments: `write` (a byte into each page of a bytearray) or `names` (a loop over strings, which writes
their reference counts); the agent library, or nothing; its socket.
"""

import gc
import os
import sys
import time

KIND, LIBRARY, SOCKET = sys.argv[1:4]
PAGES, PAGE, DEPTH = 50_000, 4096, 10
# A page of pymalloc holds at least 63 strings of 15 letters, which take 64 bytes each.
AGAIN = {"write": 20, "names": 3}[KIND]
if KIND == "names":
    DATA = ["name-%010d" % number for number in range(66 * PAGES)]
else:
    DATA = bytearray(b"x") * (PAGES * PAGE + PAGE)


def names():
    for name in DATA:
        pass


def write():
    for at in range(64, PAGES * PAGE, PAGE):
        DATA[at] = 7


def at_depth(depth, work):
    return at_depth(depth - 1, work) if depth else work()


def timed(work, rounds):
    start, busy = time.perf_counter(), time.process_time()
    for _ in range(rounds):
        at_depth(DEPTH, work)
    return f"{time.perf_counter() - start} {time.process_time() - busy}"


def load_agent():
    from importlib.machinery import ExtensionFileLoader
    from importlib.util import module_from_spec, spec_from_loader

    agent = module_from_spec(spec_from_loader("_forkprint_agent", ExtensionFileLoader("_forkprint_agent", LIBRARY)))
    agent.configure(int(SOCKET))
    agent.watch()


gc.disable()
if LIBRARY:
    load_agent()
print("ready", flush=True)
WORK = globals()[KIND]
for _line in sys.stdin:
    if os.fork() == 0:
        print(timed(WORK, 1), timed(WORK, AGAIN), flush=True)
        os._exit(0)
    os.wait()
