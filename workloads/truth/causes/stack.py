"""A native function writes to 400 pages of the stack, in the zygote and then in a worker."""

import forkprint
import ground
import native

PAGES = 400
LIBRARY = native.library()
#: The worker's calls begin at another depth than those of the zygote, by less than so many pages.
EDGE = 40


@forkprint.step
def dive():
    return LIBRARY.write_stack()  # dives


if LIBRARY:
    lowest = dive()
    middle = ground.pages_inside(lowest, lowest + PAGES * ground.PAGE)[EDGE:-EDGE]
    ground.write(
        __file__,
        ground.expected(
            "dive",
            "stack",
            middle,
            line=ground.line(__file__, "dives"),
            writer="write_stack",
            gil_released=True,
            most=PAGES,
        ),
    )
else:
    ground.write(__file__, not_here="there is no C compiler")
