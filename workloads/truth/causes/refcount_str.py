"""A loop over strings counts a reference to each, and writes nothing else."""

import forkprint
import ground

NAMES = [f"name-{number:07d}" for number in range(100_000)]


@forkprint.step
def iterate():
    for _name in NAMES:  # counts
        pass


ground.write(
    __file__,
    ground.expected(
        "iterate",
        "refcount",
        ground.pages(id(name) for name in NAMES),
        type="str",
        field="ob_refcnt",
        line=ground.line(__file__, "counts"),
        owner=".NAMES[*]",
        gil_released=False,
    ),
)
