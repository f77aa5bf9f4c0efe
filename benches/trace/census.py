"""A zygote with more than four million objects, of which it takes a census for every line it reads.

Arguments: the agent library, and its socket. Tells for each: seconds, seconds of processor time, and
by how many bytes the process that took it was larger than a child that does nothing.
"""

import gc
import os
import resource
import sys
import time
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_loader

COLOURS = ("red", "green", "blue", "black", "white", "orange", "violet")


class Product:
    def __init__(self, number):
        self.number = number
        self.name = f"{COLOURS[number % 7]} thing {number}"
        self.price = 100.5 + number
        self.tags = [COLOURS[number % 7], f"lot-{number}"]
        self.stock = {"shop": number % 17, "store": 1_000 + number}
        self.place = (number, self.name)


def children():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


LIBRARY, SOCKET = sys.argv[1:3]
gc.disable()
CATALOGUE = [Product(number) for number in range(450_000)]
agent = module_from_spec(spec_from_loader("_forkprint_agent", ExtensionFileLoader("_forkprint_agent", LIBRARY)))
agent.configure(int(SOCKET))
if os.fork() == 0:
    os._exit(0)
os.wait()
IDLE = children()[1]
print("ready", flush=True)
for _line in sys.stdin:
    start, busy = time.perf_counter(), children()[0]
    agent.census()
    print(time.perf_counter() - start, children()[0] - busy, children()[1] - IDLE)
    print("ended", flush=True)
