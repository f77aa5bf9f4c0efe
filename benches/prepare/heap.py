"""The reference heap: four million objects as programs have them, which it makes ready for a fork.

Arguments: the agent library, and `ordered` or `shuffled`: whether objects stand in memory in the order in
which they are reached. Tells objects, seconds of a processor, bytes of the objects, bytes that the walk took, and bytes of
private memory before and after.
"""

import gc
import random
import re
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


def private_bytes():
    with open("/proc/self/smaps_rollup") as rollup:
        return int(re.search(r"^Anonymous:\s+(\d+)", rollup.read(), re.M).group(1)) * 1024


LIBRARY, ORDER = sys.argv[1:3]
gc.disable()
CATALOGUE = [Product(number) for number in range(500_000)]
if ORDER == "shuffled":
    random.Random(1).shuffle(CATALOGUE)
agent = module_from_spec(spec_from_loader("_forkprint_agent", ExtensionFileLoader("_forkprint_agent", LIBRARY)))
before = private_bytes()
started = time.process_time()
done = agent.prepare_heap(None, (), 3 if sys.version_info >= (3, 12) else 1)
seconds = time.process_time() - started
print(done[0], seconds, done[1], done[9], before, private_bytes())
