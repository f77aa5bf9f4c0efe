"""The first `hash()` of a string is written into the string.

450,000 strings are formatted in the zygote and never used as keys there, so their hashes are not
known. `iterate` breaks their pages by counting references (about 7,000 pages, 27 MiB), and leaves
them ghosts. `hash_every_string` then stores eight bytes in each string: hardly a page more is
broken, but no ghost is left. A worker whose strings were immortal would pay for the hashes all the
same, unless they are computed in the zygote.
"""

import forkprint

sessions = [f"session-{number:06x}" for number in range(450_000)]


@forkprint.step
def iterate():
    for _session in sessions:
        pass


@forkprint.step
def hash_every_string():
    for session in sessions:
        hash(session)
