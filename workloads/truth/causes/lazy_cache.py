"""The hash of a tuple fills the hash caches of its strings, and counts no reference to them."""

import forkprint
import ground

#: Offset of the hash in a str: PyASCIIObject in Include/cpython/unicodeobject.h.
HASH = 24

NAMES = tuple([f"name-{number:07d}" for number in range(100_000)])


@forkprint.step
def hash_all():
    hash(NAMES)  # hashes


ground.write(
    __file__,
    ground.expected(
        "hash_all",
        "lazy_cache",
        ground.pages(id(name) + HASH for name in NAMES),
        type="str",
        field="hash",
        line=ground.line(__file__, "hashes"),
        owner=".NAMES[*]",
    ),
)
