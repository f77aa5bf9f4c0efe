"""A collection writes its own count of references in front of every object it looks at, first of all."""

import forkprint
import gc
import ground


class Node:
    __slots__ = ("next",)


gc.disable()
LISTS = [[] for _ in range(60_000)]
NODES = [Node() for _ in range(60_000)]
gc.collect()
TRACKED = len({(id(thing) - 8) // ground.PAGE for thing in gc.get_objects()})


@forkprint.step
def collect():
    gc.collect()  # collects


def headers(objects, name):
    return ground.expected(
        "collect",
        "gc_header",
        ground.pages(id(thing) - 8 for thing in objects),
        type=name,
        field="_gc_prev",
        line=ground.line(__file__, "collects"),
        most=TRACKED,
    )


ground.write(__file__, headers(LISTS, "list"), headers(NODES, f"{__name__}.Node"))
