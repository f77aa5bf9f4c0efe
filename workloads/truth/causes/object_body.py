"""Stores into objects of more than a page, far from their reference counts."""

import ctypes
import forkprint
import ground

SLOTS = [f"slot_{number:04d}" for number in range(1_600)]
Wide = type("Wide", (), {"__slots__": SLOTS, "__module__": __name__})
#: Slots stand in the order of their names behind the object's header of 16 bytes.
CHANGED = 700

WIDE = [Wide() for _ in range(500)]
for wide in WIDE:
    for slot in SLOTS:
        setattr(wide, slot, None)
ITEMS = [None] * (600 * 512)
BYTES = bytearray(b"1") * (600 * ground.PAGE)


@forkprint.step
def store_slots():
    for wide in WIDE:
        wide.slot_0700 = True  # stores a slot


@forkprint.step
def store_items():
    for index in range(0, len(ITEMS), 512):
        ITEMS[index] = True  # stores an item


@forkprint.step
def store_bytes():
    for index in range(0, len(BYTES), ground.PAGE):
        BYTES[index] = 50  # stores a byte


def stores(step, marker, addresses, **more):
    line = ground.line(__file__, marker)
    return ground.expected(step, "object_body", ground.pages(addresses), line=line, **more)


items = ctypes.c_void_p.from_address(id(ITEMS) + 24).value
contents = ctypes.addressof(ctypes.c_char.from_buffer(BYTES))
ground.write(
    __file__,
    stores(
        "store_slots",
        "stores a slot",
        [id(wide) + 16 + 8 * CHANGED for wide in WIDE],
        type=f"{__name__}.Wide",
        field=".slot_0700",
        owner=".WIDE[*]",
    ),
    stores(
        "store_items",
        "stores an item",
        [items + 8 * index for index in range(0, len(ITEMS), 512)],
        type="list",
        field="items",
        owner=".ITEMS",
    ),
    stores(
        "store_bytes",
        "stores a byte",
        [contents + index for index in range(0, len(BYTES), ground.PAGE)],
        type="bytearray",
        field="buffer",
        owner=".BYTES",
    ),
)
