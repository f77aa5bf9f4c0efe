"""Every worker builds the same table for itself.

The table could stand at module level: built once before the fork, its 300,000 strings would be
shared. Built by the first step, each worker holds its own copy of some 20 MiB, all of it fresh.
"""

import forkprint

table = []


@forkprint.step
def load():
    table.extend(f"row-{number:07d}" for number in range(300_000))


@forkprint.step
def look_up():
    for number in range(0, len(table), 1000):
        table[number].upper()
