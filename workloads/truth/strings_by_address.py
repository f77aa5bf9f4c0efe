"""Counts, by their addresses, the pages that hold its strings, and writes the number beside itself."""

import forkprint

names = [f"name-{number:07d}" for number in range(300_000)]
with open(__file__ + ".pages", "w") as truth:
    truth.write(str(len({id(name) // 4096 for name in names})))


@forkprint.step
def iterate():
    for _name in names:
        pass
