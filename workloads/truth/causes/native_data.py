"""A library writes to its own variables: some stand in .data, some in .bss."""

import forkprint
import ground
import native

PAGES = 400
LIBRARY = native.library()


@forkprint.step
def write_data():
    LIBRARY.write_data()  # writes data


@forkprint.step
def write_bss():
    LIBRARY.write_bss()  # writes bss


if LIBRARY:
    # What the zygote has never written is not its own yet, and no worker would inherit it.
    write_data()
    write_bss()

def writes(step, start):
    inside = ground.pages_inside(start, start + PAGES * ground.PAGE)
    line = ground.line(__file__, step.replace("_", "s "))
    return ground.expected(step, "native_data", inside, line=line, writer=step, gil_released=True)


if LIBRARY:
    ground.write(
        __file__,
        writes("write_data", LIBRARY.data_pages()),
        writes("write_bss", LIBRARY.bss_pages()),
    )
else:
    ground.write(__file__, not_here="there is no C compiler")
