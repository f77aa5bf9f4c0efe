"""Reading is writing: one `for` loop over half a million strings.

The list and its strings are built in the zygote. Taking a string from the list and putting the
next one in its place raises and lowers its reference count, a write into the string itself. So
the loop breaks every page that holds a string, about 7,800 pages (30 MiB) a worker, and nearly
all of them are ghosts: each count ends at the value it had. The list's own buffer stays shared.
"""

import forkprint

names = [f"name-{number:07d}" for number in range(500_000)]


@forkprint.step
def iterate():
    for _name in names:
        pass


@forkprint.step
def iterate_again():
    """Breaks nothing more: the pages are broken already."""
    for _name in names:
        pass
