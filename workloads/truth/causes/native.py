"""Compiles the library of native_data.c beside itself and opens it."""

import ctypes
import os
import shutil
import subprocess

FOLDER = os.path.dirname(os.path.abspath(__file__))


def library():
    """The library, or None where there is no C compiler."""
    if not shutil.which("cc"):
        return None
    built = os.path.join(FOLDER, "libnative_data.so")
    source = os.path.join(FOLDER, "native_data.c")
    subprocess.run(["cc", "-O1", "-g", "-shared", "-fPIC", "-o", built, source], check=True)
    opened = ctypes.CDLL(built)
    for function in (opened.data_pages, opened.bss_pages, opened.write_stack):
        function.restype = ctypes.c_void_p
    return opened
