"""Code of hundreds of pages: from CPython 3.11 on, running it rewrites it and counts inside it.

The pages that hold nothing but instructions are known. Everything stands on one line, so that the
line does not depend on the version: 3.11 rewrites a whole function as its eighth call begins, later
versions write a counter beside each instruction as it runs.
"""

import forkprint
import ground
import sys
import types

LINE = 14
SOURCE = "\n" * (LINE - 1) + "def add(a, b): " + "c = a + b; " * 30_000

namespace = {}
exec(compile(SOURCE, __file__, "exec"), namespace)
CODE = namespace["add"].__code__
FUNCTIONS = [
    types.FunctionType(CODE.replace(co_name=f"add_{number}"), {}) for number in range(8)
]


@forkprint.step
def call():
    for function in FUNCTIONS:
        for _call in range(10):
            function(1, 2)


def instructions(code):
    """The code object ends in its instructions: PyCodeObject in Include/cpython/code.h."""
    start = id(code) + type(code).__basicsize__
    return ground.pages_inside(start, start + len(code.co_code))


if sys.version_info >= (3, 11):
    ground.write(
        __file__,
        ground.expected(
            "call",
            "specialize",
            [page for function in FUNCTIONS for page in instructions(function.__code__)],
            type="code",
            field="co_code_adaptive",
            line=LINE,
        ),
    )
else:
    ground.write(__file__, not_here="CPython rewrites no code before 3.11")
