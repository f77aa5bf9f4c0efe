"""Walking a tree of lists, tuples and dictionaries.

Typical of parsed JSON or a cached configuration. Visiting a node counts references to it and to
each of its children, so a walk over the whole tree breaks all pages that hold nodes: about 28
of 35 MiB, although nothing changes. A walk over a tenth of the branches breaks
about a tenth, because each branch was built in one go and lies together in memory.
"""

import forkprint


def branch(number):
    leaves = [(number, float(number + leaf), f"leaf-{number}-{leaf}") for leaf in range(8)]
    return {"id": number, "leaves": leaves, "tags": [f"tag-{number}-{tag}" for tag in range(4)]}


tree = [branch(number) for number in range(16_000)]


def walk(node):
    if isinstance(node, dict):
        for value in node.values():
            walk(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            walk(value)


@forkprint.step
def walk_a_tenth():
    for number in range(len(tree) // 10):
        walk(tree[number])


@forkprint.step
def walk_everything():
    walk(tree)
