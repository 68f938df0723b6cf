# Objects whose allocation is traced, in tracebacks of one line and of many, and objects from before.
#
#   before: from before tracemalloc.start()     rows, texts, big: from lines of their own
#   deep: from a recursion deeper than tracebacks are long     a class, functions, a generator, slots, subclasses
#
# First argument: how many frames tracemalloc keeps. The command `l` reads addresses from the file `addresses` and writes
# to the file `lines` what `_tracemalloc._get_object_traceback` says of each. `x` stops tracemalloc.
import _ctypes
import _tracemalloc
import json
import os
import sys

import _truth

before = [[n] for n in range(1000)]
_tracemalloc.start(int(sys.argv[1]))


class Row:
    def __init__(self, n):
        self.n = [n]
        self.text = "row %d" % n


class Slotted:
    __slots__ = ("one", "__weakref__")


class Name(str):
    pass


class Table(dict):
    pass


def deep(n):
    return [n, deep(n - 1)] if n else {"end": object()}


def numbers():
    local = [1]
    yield local


rows = [Row(n) for n in range(2000)]
texts = {n: "text %d" % n for n in range(2000)}
slotted = [Slotted() for n in range(10)]
names = [Name("name %d" % n) for n in range(10)]
tables = [Table(one=n) for n in range(10)]
chain = deep(30)
started = numbers()
next(started)
functions = [lambda n=n: n for n in range(10)]
big = bytes(bytearray([7] * (3 << 20)))
many = [(n,) for n in range(20000)]
compiled = {}
exec(compile("made = [[n] for n in range(5)]", "generated \u20ac.py", "exec"), compiled)


def lines():
    folder = os.environ["FIXTURE_FOLDER"]
    traceback_of = _tracemalloc._get_object_traceback
    with open(folder + "/addresses", "rb") as file:
        addresses = [int(line, 16) for line in file]
    with open(folder + "/lines", "w", encoding="utf-8") as out:
        for address in addresses:
            found = traceback_of(_ctypes.PyObj_FromPtr(address))
            if found is not None:
                out.write("%#x %s\n" % (address, json.dumps(found, ensure_ascii=False)))
    return b"done\n"


def stop():
    _tracemalloc.stop()
    return b"done\n"


_truth.hold({"l": lines, "x": stop})
