"""Takes a census with a list in it that holds no object, and one without."""

import ctypes, faulthandler, tempfile

log = tempfile.TemporaryFile()
faulthandler.enable(log)
broken = [None] * 8
first = ctypes.c_uint64.from_address(ctypes.c_uint64.from_address(id(broken) + 24).value)
kept, first.value = first.value, 1 << 40
census()
first.value = kept
tell({"took": "one that crashes", "the program's handler wrote": os.fstat(log.fileno()).st_size})
wait()
census()
tell("took another")
wait()
