"""A worker allocates in the holes that the zygote left between its data.

Seven of eight blocks of 448 bytes are free at the fork, but every page keeps one in use. What a
worker allocates fills the holes, and breaks the page of the neighbour that it only wanted to share.
"""

import forkprint

blocks = [bytes(415) for _ in range(24_000)]
kept = blocks[::8]
count = len(blocks) - len(kept)
del blocks
answers = []


@forkprint.step
def answer():
    for _ in range(count):
        answers.append(bytes(415))
