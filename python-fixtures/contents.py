# Texts and bytes of which some are equal.
#
#   rows -> {"name": one of 7 texts, "n": n} x 500     big -> 3 MiB, 3 MiB (equal), 3 MiB (other), in blocks of their own
#   every width of characters, empty ones, classes derived from str and bytes, texts that keep their UTF-8 too
#
# The command `e` reads addresses from the file `addresses`, and writes to the file `equal` the groups of equal objects
# among them, a line each, for each class the bytes that are there more than once, and the addresses at which there is no
# object any more.
import _ctypes
import os
import sys

import _truth


class Name(str):
    pass


class Token(bytes):
    __slots__ = ()


def text(n, of):
    return "".join([of, str(n % 7), of])


rows = [{"name": text(n, "customer"), "n": n} for n in range(500)]
widths = [[text(n, of) for n in range(20)] for of in ("a", "\xe9", "\u20ac", "\U0001f600")]
derived = [[Name(text(n, "\xe9")) for n in range(10)], [Token(b"abc%d" % (n % 3)) for n in range(10)]]
raw = [bytes(bytearray([n % 5] * 40)) for n in range(50)] + [bytes(), bytes(bytearray(1)), bytes(bytearray(1))]
# Not equal, though the first characters are, or the bytes in memory are.
near = [text(1, "abc"), text(1, "abc") + "x", b"abc1abc", "\u6161", "aa", b"aa"]
big = [bytes(bytearray([7] * (3 << 20))) for _ in range(2)] + [bytes(bytearray([7] * ((3 << 20) - 1) + [8]))]
big_texts = ["".join(["\u20ac" * (1 << 20)]) for _ in range(2)] + ["".join(["\u20ac" * (1 << 20), "x"])]
for one in widths[1]:
    one.isidentifier()
for one in widths[1][:3]:
    try:
        _ctypes.dlopen("/nonexistent/" + one, 0)  # encodes it
    except OSError:
        pass


def equal():
    folder = os.environ["FIXTURE_FOLDER"]
    with open(folder + "/addresses", "rb") as file:
        addresses = [int(line, 16) for line in file]
    groups, there = {}, _truth.still_there(addresses)
    for address in there:
        one = _ctypes.PyObj_FromPtr(address)
        kind = type(one)
        plain = str.__str__(one) if issubclass(kind, str) else bytes(memoryview(one))
        groups.setdefault((kind, plain), []).append((address, sys.getsizeof(one)))
    saved = {}
    with open(folder + "/equal", "w") as out:
        for (kind, _), found in groups.items():
            sizes = [size for _, size in found]
            name = _truth.type_name(kind)
            saved[name] = saved.get(name, 0) + sum(sizes) - max(sizes)
            if len(found) > 1:
                out.write("equal %s\n" % " ".join(sorted(hex(address) for address, _ in found)))
        for name in sorted(saved):
            out.write("saved %s %d\n" % (name, saved[name]))
        out.write("gone %s\n" % " ".join(hex(address) for address in set(addresses).difference(there)))
    return b"done\n"


_truth.hold({"e": equal})
