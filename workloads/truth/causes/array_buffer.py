"""Stores into the buffers of arrays: one byte, and one double, into each page."""

import array

import forkprint
import ground

BYTES = array.array("B", b"1") * (600 * ground.PAGE)
DOUBLES = array.array("d", [1.0]) * (600 * ground.PAGE // 8)


@forkprint.step
def store_bytes():
    for index in range(0, len(BYTES), ground.PAGE):
        BYTES[index] = 50  # stores a byte


@forkprint.step
def store_doubles():
    for index in range(0, len(DOUBLES), ground.PAGE // 8):
        DOUBLES[index] = 2.5  # stores a double


def stores(step, marker, numbers, owner):
    start, count = numbers.buffer_info()
    size = count * numbers.itemsize
    return ground.expected(
        step,
        "object_body",
        ground.pages(range(start, start + size, ground.PAGE)),
        line=ground.line(__file__, marker),
        type="array.array",
        field="buffer",
        owner=owner,
    )


ground.write(
    __file__,
    stores("store_bytes", "stores a byte", BYTES, ".BYTES"),
    stores("store_doubles", "stores a double", DOUBLES, ".DOUBLES"),
)
