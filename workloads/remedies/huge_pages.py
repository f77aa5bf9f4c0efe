"""New memory of a worker in huge pages: one byte written takes 2 MiB.

The second step makes a buffer of 64 MiB that asks for huge pages, and writes one byte in every
2 MiB of it. Where the kernel gives huge pages, all 64 MiB are resident afterwards instead of 128 KiB.
"""

import forkprint
import mmap

HUGE = 2 << 20
buffers = []


@forkprint.step
def start():
    buffers.append(bytearray(HUGE // 4))


@forkprint.step
def write_one_byte_in_two_megabytes():
    buffer = mmap.mmap(-1, 32 * HUGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    buffer.madvise(mmap.MADV_HUGEPAGE)
    for start in range(0, len(buffer), HUGE):
        buffer[start] = 1
    buffers.append(buffer)
