"""Takes a census of a small heap, then of a large one, and tells what heap and census take at most."""

import gc, resource


class Entry:
    def __init__(self, number):
        self.name, self.tags = f"entry-{number}", [number]


def anonymous():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("RssAnon:"))


gc.disable()
entries = []
for count in (20_000, 300_000):
    entries.extend(Entry(number) for number in range(count))
    heap = anonymous()
    census()
    tell({"heap": heap, "peak": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10})
    wait()
