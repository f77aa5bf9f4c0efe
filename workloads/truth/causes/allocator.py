"""A worker fills the free blocks that the zygote left in its pools, and gives back others.

Every page keeps one block in use, so that no pool ever becomes free as a whole.
"""

import ctypes
import forkprint
import ground

#: Bytes in a bytes object around its contents.
AROUND = b"".__sizeof__()


def all_but_one_a_page(things, address):
    """Those things that have a neighbour on the same page, and one neighbour for each page."""
    neighbours = {address(thing) // ground.PAGE: thing for thing in things}
    kept = {id(thing) for thing in neighbours.values()}
    return [thing for thing in things if id(thing) not in kept], list(neighbours.values())


def items_of(values):
    """Address of a list's items: PyListObject in Include/cpython/listobject.h."""
    return ctypes.c_void_p.from_address(id(values) + 24).value


# Blocks of 448 bytes: seven or more to a page, which nothing else of a usual program asks for.
gaps, NEIGHBOURS = all_but_one_a_page([bytes(448 - AROUND) for _ in range(14_000)], id)
GAPS = len(gaps)
gap_pages = ground.pages(id(gap) for gap in gaps)
del gaps

# Items of a list stand in a block of their own; these take 480 bytes.
FULL, KEPT = all_but_one_a_page([[None] * 60 for _ in range(14_000)], items_of)
item_pages = ground.pages(map(items_of, FULL))

taken = []


@forkprint.step
def take():
    for _gap in range(GAPS):
        taken.append(bytes(448 - AROUND))  # takes


@forkprint.step
def give_back():
    for values in FULL:
        values.clear()  # gives back


ground.write(
    __file__,
    ground.expected("take", "allocator", gap_pages, line=ground.line(__file__, "takes")),
    ground.expected("give_back", "allocator", item_pages, line=ground.line(__file__, "gives back")),
)
