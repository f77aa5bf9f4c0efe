"""A thread of the zygote, which no worker has, writes to 1,000 pages when the worker asks it to."""

import forkprint
import os
import threading

buffer = bytearray(b"1") * (1000 * 4096)
asked, ask = os.pipe()
answered, answer = os.pipe()


def write():
    os.read(asked, 1)
    for page in range(0, len(buffer), 4096):
        buffer[page] = 50
    os.write(answer, b"!")


threading.Thread(target=write, daemon=True).start()


@forkprint.step
def wait():
    os.write(ask, b"?")
    os.read(answered, 1)
    assert buffer[0] == 49


@forkprint.step
def write_half_as_well():
    for page in range(0, len(buffer) // 2, 4096):
        buffer[page] = 51
