"""One garbage collection in a worker writes into the header of every container.

To find cycles the collector copies each container's reference count into its header and marks
what it reaches. 350,000 small lists are tracked here, so `gc.collect()` breaks every page that
holds one: about 5,700 pages (22 MiB) a worker. The lists' buffers and the numbers stay shared.
Automatic collections of the oldest generation do the same at a time nobody chose.
`gc_freeze_collect.py` is the same workload with the remedy.
"""

import forkprint
import gc

gc.disable()
rows = [[number] for number in range(350_000)]


@forkprint.step
def collect():
    gc.collect()
