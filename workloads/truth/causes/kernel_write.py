"""The kernel fills an inherited buffer, in one system call."""

import ctypes
import forkprint
import ground

BUFFER = bytearray(b"1") * (600 * ground.PAGE)
ZEROES = open("/dev/zero", "rb", buffering=0)


@forkprint.step
def read():
    assert ZEROES.readinto(BUFFER) == len(BUFFER)


start = ctypes.addressof(ctypes.c_char.from_buffer(BUFFER))
ground.write(
    __file__,
    ground.expected("read", "kernel_write", ground.pages_inside(start, start + len(BUFFER))),
)
