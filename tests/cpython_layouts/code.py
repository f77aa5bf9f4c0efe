import dis, json, sys

SOURCE = '''
def plain(a, b):
    c = a + b

    # a gap
    return c


def decorate(*names):
    return lambda f: f


@decorate(
    "a",
    "b",
)
@decorate()
def decorated(x):
    return x


def many_lines(x):
    return [
        x,
        x + 1,
        x.first(
            x.second,
            third=x,
        ),
        *(y for y in x
          if y),
    ]


def backwards(x):
    while (x and
           x.more):
        try:
            x = x.next
        except ValueError as error:
            raise KeyError from error
        finally:
            print(x)
    for _ in x: pass
    with x as y, \\
         y as z:
        yield z


class Outer:
    attribute = 1

    class Inner:
        def method(self):
            def inner():
                return self
            return inner

    async def waits(self):
        async for _ in self:
            await _


def grüße(x):
    """Straße 街道 \U0001f40d"""
    return lambda: "街道"


def huge(x):
    x = [
        """ + ENTRIES + """
    ]
    """ + GAP + """
    return x
'''
SOURCE = SOURCE.replace('""" + ENTRIES + """', "\n        ".join(f"x[{i}] + x.a{i}(x)," for i in range(300)))
SOURCE = SOURCE.replace('""" + GAP + """', "\n    ".join(["x = x.y"] + ["# nothing"] * 400 + ["x = x.z"] + ["#"] * 2000 + ["x = (x,"] + ["#"] * 130 + ["x.last)"]))

FILES = ["plain.py", "/srv/größe/街道.py", "/long/" + "p" * 1000 + "/" + "x" * 100 + ".py"]


def codes(code):
    yield code
    for constant in code.co_consts:
        if hasattr(constant, "co_code"):
            yield from codes(constant)


def lines(code):
    """The line of every instruction offset, as Python says it."""
    if hasattr(code, "co_lines"):
        found = [None] * len(code.co_code)
        for start, end, line in code.co_lines():
            found[start:end] = [line] * (end - start)
        return found
    starts = dict(dis.findlinestarts(code))
    line, found = code.co_firstlineno, []
    for offset in range(len(code.co_code)):
        line = starts.get(offset, line)
        found.append(line)
    return found


compiled = [code for file in FILES for code in codes(compile(SOURCE, file, "exec"))]
stdlib = [code for name in ("argparse", "typing", "inspect", "ast", "decimal", "json.decoder", "re")
          for code in [getattr(__import__("importlib").import_module(name), "__spec__").loader.get_code(name)]
          for code in codes(code)]
told = [{"address": id(code), "file": code.co_filename, "first_line": code.co_firstlineno,
         "name": getattr(code, "co_qualname", code.co_name), "lines": lines(code)}
        for code in compiled + stdlib]

frame = sys._getframe()
sys.stdout.write(json.dumps({"codes": told}) + "\n")
sys.stdout.flush()
sys.stdin.read()
