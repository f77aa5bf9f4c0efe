"""Writes the byte that is there already to every page of the interpreter's own data.

Some of these pages every worker writes anyway. Whoever is first, they are the interpreter's.
"""

import ctypes
import forkprint
import ground
import struct


def end_of_data(path):
    """Where the last segment of an ELF file ends in memory, from its first address on."""
    with open(path, "rb") as file:
        elf = file.read(1 << 16)
    table, size, count = struct.unpack_from("<Q", elf, 32)[0], *struct.unpack_from("<HH", elf, 54)
    headers = [struct.unpack_from("<IIQQQQQQ", elf, table + size * index) for index in range(count)]
    loads = [(address, memory) for kind, _, _, address, _, _, memory, _ in headers if kind == 1]
    return max(address + memory for address, memory in loads) - min(address for address, _ in loads)


def data_of_interpreter():
    """Addresses of the pages of .data and .bss: the writable mappings of the file that holds `int`."""
    with open("/proc/self/maps") as maps:
        areas = [text.split(maxsplit=5) for text in maps]
    ranges = [[int(part, 16) for part in area[0].split("-")] for area in areas]
    files = [area[5].strip() if len(area) > 5 else "" for area in areas]
    home = next(file for file, (start, end) in zip(files, ranges) if start <= id(int) < end)
    writable = ["w" in area[1] for area in areas]
    found = [span for span, file, can in zip(ranges, files, writable) if can and file == home]
    found += [span for span, file in zip(ranges, files) if file == "" and span[0] == found[-1][1]]
    # Behind .bss, in the same area, may be memory of somebody else.
    first = min(start for file, (start, _) in zip(files, ranges) if file == home)
    end = first + end_of_data(home)
    found = [(start, min(stop, end)) for start, stop in found if start < end]
    return [page for start, end in found for page in range(start, end, ground.PAGE)]


DATA = data_of_interpreter()


def write_everywhere():
    for address in DATA:
        ctypes.memmove(address, address, 1)


# What the zygote has never written is not its own yet, and no worker would inherit it.
write_everywhere()


@forkprint.step
def rewrite():
    write_everywhere()


ground.write(__file__, ground.expected("rewrite", "interpreter", ground.pages(DATA), least=0.5))
