"""Takes a census of a heap of some size, and nothing else."""

import gc


class Entry:
    def __init__(self, number):
        self.name, self.tags = f"entry-{number}", [number]


entries = [Entry(number) for number in range(100_000)]
gc.collect()
gc.disable()
tell("ready")
wait()
census()
tell("taken")
wait()
