"""A worker that breaks more than 100,000 pages, by looking at 950,000 strings of 430 letters."""

import forkprint

SHELVES = {f"shelf-{shelf}": [f"{shelf}-{book}".ljust(430) for book in range(9_500)] for shelf in range(100)}


def visit(shelf):
    for _book in shelf:
        pass


def tour(names):
    for name in names:
        visit(SHELVES[name])


@forkprint.step
def read_all():
    tour(list(SHELVES))
