"""Loops over objects with a collector's header and a body, of which only the count is written."""

import forkprint
import ground


class Point:
    __slots__ = ("x",)

    def __init__(self, x):
        self.x = x


PAIRS = [(number, -number) for number in range(1_000, 80_000)]
POINTS = [Point(None) for _ in range(80_000)]


@forkprint.step
def iterate_pairs():
    for _pair in PAIRS:  # counts pairs
        pass


@forkprint.step
def iterate_points():
    for _point in POINTS:  # counts points
        pass


def counts(step, objects, name):
    return ground.expected(
        step,
        "refcount",
        ground.pages(id(thing) for thing in objects),
        type=name,
        field="ob_refcnt",
        line=ground.line(__file__, step.replace("iterate", "counts").replace("_", " ")),
    )


ground.write(
    __file__,
    counts("iterate_pairs", PAIRS, "tuple"),
    counts("iterate_points", POINTS, f"{__name__}.Point"),
)
