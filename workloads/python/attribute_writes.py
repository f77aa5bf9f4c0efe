"""True writes: what a copy is really for, and how little of it is used.

Stores a new value into one counter object in 32, then into all of them. 250,000 objects with slots
lie about 64 apart in a page, so the first step changes two pointers in nearly every page that holds
counters: 4,096 bytes copied for 16 that differ. The second step breaks hardly more. The values
stored are small numbers that exist once, so no new objects are made.
"""

import forkprint


class Counter:
    __slots__ = ("hits", "misses", "name", "limit")

    def __init__(self, number):
        self.hits = 0
        self.misses = 0
        self.name = f"counter-{number:06d}"
        self.limit = number


counters = [Counter(number) for number in range(250_000)]


@forkprint.step
def write_one_in_32():
    for number in range(0, len(counters), 32):
        counters[number].hits = 1


@forkprint.step
def write_all():
    for counter in counters:
        counter.hits = 2
