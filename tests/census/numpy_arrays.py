"""Makes arrays of numpy, where there is one, and tells of each: address, type, bytes, owner; and its data."""

import gc, tempfile

objects, buffers, nobodys = [], [], []


def know(value, path, type_name):
    objects.append([id(value), type_name, None, path])


def know_data(array, path):
    assert array.flags.owndata
    buffers.append([array.ctypes.data, "Bytes", array.nbytes, path])


def finish():
    know(FLOATS, "__main__.FLOATS", "numpy.ndarray")
    know_data(FLOATS, "__main__.FLOATS")
    know_data(SQUARE, "__main__.SQUARE")
    know_data(FORTRAN, "__main__.FORTRAN")
    know_data(PERMUTED, "__main__.PERMUTED")
    know_data(FEW, "__main__.FEW")
    know_data(COLUMN, "__main__.COLUMN")
    know_data(NUMBER, "__main__.NUMBER")
    know_data(RECORDS, "__main__.RECORDS")
    know(RECORDS.dtype, "__main__.RECORDS.dtype", None)
    know(MATRIX, "__main__.MATRIX", "__main__.Matrix")
    know_data(MATRIX, "__main__.MATRIX")
    know(RESHAPED.base, "__main__.RESHAPED.base", "numpy.ndarray")
    know_data(RESHAPED.base, "__main__.RESHAPED.base")
    know_data(OBJECTS, "__main__.OBJECTS")
    know(OBJECTS[7, 3], "__main__.OBJECTS[*]", "str")
    know(OBJECTS[99, 9], "__main__.OBJECTS[*]", "str")
    know(EVERY_OTHER, "__main__.EVERY_OTHER", "numpy.ndarray")
    know(EMPTY, "__main__.EMPTY", "numpy.ndarray")
    know(FROM_BYTES.base, "__main__.FROM_BYTES.base", "bytes")
    nobodys.extend([MAPPED.ctypes.data, EMPTY.ctypes.data])
    gc.collect()
    told = json.dumps({"objects": objects, "buffers": buffers, "nobody's": nobodys})
    census()
    print(told, flush=True)


try:
    import numpy
except ImportError:
    numpy = None
    tell(None)

if numpy:

    class Matrix(numpy.ndarray):
        pass

    FLOATS = numpy.ones(1_000_000)
    SQUARE = numpy.ones((300, 400), dtype="float32")
    FORTRAN = numpy.ones((300, 400), order="F")
    PERMUTED = numpy.empty_like(numpy.ones((20, 30, 40)).transpose(1, 2, 0))
    FEW = numpy.arange(3, dtype="int64")
    COLUMN = numpy.ones((5000, 1), dtype="int16")
    NUMBER = numpy.array(3.5)
    RECORDS = numpy.zeros(1000, dtype=[("name", "S13"), ("price", "f8")])
    MATRIX = Matrix((100, 100))
    RESHAPED = numpy.arange(10_000).reshape(100, 100)
    OBJECTS = numpy.array([f"item-{number}" for number in range(1000)], dtype=object).reshape(100, 10).copy()
    EVERY_OTHER = FLOATS[::2]
    EMPTY = numpy.empty((0, 5))
    FROM_BYTES = numpy.frombuffer(b"bytes" * int("800"), dtype="uint8")
    FILE = tempfile.NamedTemporaryFile()
    MAPPED = numpy.memmap(FILE.name, dtype="float64", mode="w+", shape=(10_000,))
    finish()
wait()
