"""Iterating over a dictionary: keys, then values.

A dictionary's table is one large block with only pointers in it, and reading it writes nothing.
The keys and values it points to are objects, and holding one for a moment counts a reference. So
`keys` breaks the pages of 250,000 strings (about 3,900 pages, 15 MiB), `values` those of 250,000
floats (about 2,000 pages), and the table of 10 MiB stays shared. The strings' hashes are
cached since they were inserted, so looking keys up breaks nothing more.
"""

import forkprint

prices = {f"article-{number:06d}": number * 0.01 for number in range(250_000)}


@forkprint.step
def keys():
    for _key in prices:
        pass


@forkprint.step
def values():
    for _price in prices.values():
        pass


@forkprint.step
def look_up():
    for key in prices:
        prices[key]
