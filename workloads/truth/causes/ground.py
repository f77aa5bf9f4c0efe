"""What the programs of this folder know beforehand of their writes, written down beside themselves."""

import collections
import json

PAGE = 4096


def pages(addresses):
    """The numbers of the pages that these bytes are on, but for those they are few on.

    There other objects stand as well, which may be written first.
    """
    counts = collections.Counter(address // PAGE for address in addresses)
    few = max(counts.values()) / 2
    return sorted(page for page, count in counts.items() if count >= few)


def pages_inside(start, end):
    """The numbers of the pages that lie wholly between two addresses."""
    return list(range(-(-start // PAGE), end // PAGE))


def line(program, marker):
    """The number of the line that ends in a comment."""
    with open(program) as source:
        return next(number for number, text in enumerate(source, 1) if text.rstrip().endswith("# " + marker))


def expected(step, cause, pages, **more):
    """The first write to each of these pages: in which step, and why.

    More, where it is known: `type` and `field` of the object written to, `line` of the program,
    `writer` (the native function), `owner` (the end of its path), and whether the GIL was released
    (`gil_released`); `least`, the share of the pages that the step breaks, where it is not nearly
    all; and `most`, the pages that it breaks for this cause altogether, where they are more than
    what is expected of it.
    """
    return dict(more, step=step, cause=cause, pages=pages)


def write(program, *expectations, **more):
    """Makes `PROGRAM.truth.json`; `not_here` says why this interpreter or machine cannot show it."""
    with open(program + ".truth.json", "w") as truth:
        json.dump(dict(more, expectations=expectations), truth)
