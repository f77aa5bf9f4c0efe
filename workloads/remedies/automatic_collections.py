"""A full collection that nobody asked for.

The zygote's 150,000 lists have survived a collection and are in the oldest generation. A worker that
keeps more than a quarter as many of its own makes the collector look at that generation, too, and
write into the header of every inherited list. `gc.freeze()` before the fork prevents it, and so do
thresholds that make full collections rare.
"""

import forkprint
import gc

rows = [[number] for number in range(150_000)]
gc.collect()
sessions = []


@forkprint.step
def first_request():
    sessions.append([0])


@forkprint.step
def serve():
    sessions.extend([number] for number in range(200_000))
