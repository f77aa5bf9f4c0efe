import ctypes, json, sys

ctypes.pythonapi.PyThreadState_Get.restype = ctypes.c_void_p


def chain(frame):
    while frame:
        yield [id(frame.f_code), frame.f_lineno]
        frame = frame.f_back


def told(frames):
    return json.dumps({"thread": ctypes.pythonapi.PyThreadState_Get(), "frames": list(frames)})


def innermost(x):
    print(told(chain(sys._getframe())), flush=True); sys.stdin.read()
    return x


class Made:
    def __init__(self):
        self.got = sorted(
            [1],
            key=lambda x: innermost(
                x
            ),
        )


def generated():
    yield from (
        Made()
        for _ in range(1)
    )


def outer():
    return list(
        map(lambda f: next(f), [
            generated(),
        ])
    )


outer()
