"""Hashes that are computed in every worker, though the zygote could have known them.

The hash of a tuple fills the hash of each string in it, and counts no reference: the first write to
the pages of these 200,000 strings is that of a cache.
"""

import forkprint

NAMES = tuple([f"name-{number:07d}" for number in range(200_000)])


@forkprint.step
def hash_all():
    hash(NAMES)
