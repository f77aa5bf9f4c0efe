"""What a worker breaks by leaving politely.

When a worker exits through `sys.exit()` or the end of its program, CPython tears down all modules
and frees every object, only for the kernel to throw the memory away afterwards. Freeing an object
writes to it, so the pages are copied first and then given back: nearly the whole heap of 35 to
50 MiB shows as broken or gone. Many workers that stop at once (a reload) do that together. Workers
that end by `os._exit()` skip it.
"""

import forkprint


class Node:
    def __init__(self, number, parent):
        self.name = f"node-{number:06d}"
        self.parent = parent


nodes = [Node(0, None)]
for number in range(1, 220_000):
    nodes.append(Node(number, nodes[number // 2]))


@forkprint.step
def serve():
    nodes[len(nodes) // 2].name


@forkprint.step(finalize=True)
def shut_down():
    pass
