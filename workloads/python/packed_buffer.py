"""The control: packed data stays shared however often it is read.

The same kind of numbers as elsewhere, but in buffers that hold bytes and not objects: an array of
4 million doubles (32 MiB) and 16 MiB of bytes. Only their two headers have a reference count.
Reading every element breaks a few pages, none of them in the buffers.
"""

import forkprint
from array import array

samples = array("d", range(4_000_000))
image = bytes(range(256)) * (16 * 4096)


@forkprint.step
def sum_samples():
    total = 0.0
    for sample in samples:
        total += sample


@forkprint.step
def count_bytes():
    view = memoryview(image)
    for start in range(0, len(view), 4096):
        view[start : start + 4096].tobytes().count(7)
