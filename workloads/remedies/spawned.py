"""A pool that starts its processes by spawn: each imports the program anew and inherits nothing."""

import forkprint
import multiprocessing

squares = [number * number for number in range(100_000)]


def pool():
    multiprocessing.set_start_method("spawn")
    return multiprocessing.Pool(2)


@forkprint.step
def look_up():
    return squares[-1]
