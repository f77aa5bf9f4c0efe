"""Code is data: functions that run for the first time in a worker.

An application imports thousands of functions in the zygote and calls most of them for the first
time in a worker. Calling one counts references to the function and to its code object, so the
first call breaks nearly all of their pages: for the 60,000 functions here 19 MiB a worker before
CPython 3.11, and 31 MiB since. The versions differ in what is written. From 3.11 on the interpreter
rewrites the bytecode for the types it meets, counters and caches inside the code object, so most
of the copies really differ. Before, a code object keeps its last frame, a pointer. Calling the
functions in the zygote (warming up) takes these writes away, and leaves the reference counts.
"""

import forkprint
import types


def handler(prices, quantity):
    total, count, names = 0, 0, []
    for price in prices:
        if price > quantity:
            total = total + price * quantity
            count += 1
        else:
            total = total - price
            names.append(price)
    shares = {"total": total, "count": count, "rest": len(names)}
    return [shares["total"] + shares["count"], shares["rest"]]


def copy_of_handler(number):
    code = handler.__code__.replace(co_name=f"handler_{number}")
    return types.FunctionType(code, globals())


handlers = [copy_of_handler(number) for number in range(60_000)]


@forkprint.step
def first_call():
    for function in handlers:
        function((1, 2, 3), 2)


@forkprint.step
def warm_up():
    for function in handlers:
        for _ in range(20):
            function((1, 2, 3), 2)
