"""The remedy for `gc_collect.py`: `gc.freeze()` in the zygote, just before the fork.

The same 350,000 lists, but frozen: the collector no longer visits what the zygote built, so
`gc.collect()` in a worker breaks a dozen pages instead of about 5,700. Reference counts
are not affected: iterating over the lists would still break their pages.

The collection before the freeze empties the interpreter's free lists. Without it the workers' own
collections do so, and write into the fifty or so pages over which the freed blocks are scattered.
"""

import forkprint
import gc

gc.disable()
rows = [[number] for number in range(350_000)]
gc.collect()
gc.freeze()


@forkprint.step
def collect():
    gc.collect()
