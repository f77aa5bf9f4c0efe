"""Dirties a known number of pages: 300 with one new byte each, 200 with the byte they have, 100 given up."""

import forkprint
import mmap

PAGE = mmap.PAGESIZE
memory = mmap.mmap(-1, 1000 * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
memory[:] = b"1" * len(memory)


@forkprint.step
def read():
    assert memory[:].count(b"1") == len(memory)


@forkprint.step
def write_new():
    for page in range(0, 300):
        memory[page * PAGE] = 50


@forkprint.step
def write_same():
    for page in range(300, 500):
        memory[page * PAGE] = 49


@forkprint.step
def give_up():
    memory.madvise(mmap.MADV_DONTNEED, 900 * PAGE, 100 * PAGE)
