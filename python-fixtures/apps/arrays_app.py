# Arrays that own memory, share it, or hold objects.
#
#   base <- view.base <- views          object arrays, C order, Fortran order, neither       structures with object fields
#   a buffer of bytes, a memory view, a mapping, shared memory below arrays     frames whose blocks view other arrays
#
# The command `a` writes to the file `arrays` what numpy says of each array: its address, the bytes it owns, its base, and
# the objects in its items. Runs in the environments of pandas_app.
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import _truth  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402


class Item:
    pass


def items(*shape):
    made = np.empty(shape, dtype=object)
    for index in np.ndindex(*shape):
        made[index] = Item()
    return made


nested = np.dtype([("a", "O"), ("in", [("b", "f8"), ("c", "O")]), ("pair", "O", (2, 2)), ("n", "i4")])
packed = np.dtype({"names": ["x", "y"], "formats": ["i1", "O"], "offsets": [8, 0], "itemsize": 24})


def structures(dtype, count):
    made = np.zeros(count, dtype=dtype)
    for name in objects_of(dtype):
        part = made
        for word in name:
            part = part[word]
        for index in np.ndindex(*part.shape):
            part[index] = Item()
    return made


def objects_of(dtype, before=()):
    found = []
    for name in dtype.names or ():
        field = dtype.fields[name][0]
        if field.base == np.dtype(object):
            found.append(before + (name,))
        else:
            found += objects_of(field, before + (name,))
    return found


whole = np.full((125000, 4), 1.5)
neither = np.empty_like(items(2, 3, 4).transpose(1, 0, 2))
for index in np.ndindex(*neither.shape):
    neither[index] = Item()
assert not neither.flags.c_contiguous and not neither.flags.f_contiguous and neither.flags.owndata
text = bytes(bytearray(range(200)))
arrays = [
    whole, whole[:10], whole[:10][2:5], whole.T, np.zeros(0), np.zeros((3, 0)), np.arange(1000)[::-1],
    items(5), items(3, 4), np.asfortranarray(items(3, 4)), neither, items(6)[::2], items(200, 1000),
    np.array(None, dtype=object), structures(nested, 7), structures(nested, 7)[1:3], structures(packed, 9),
    np.zeros(50, dtype=[("x", "i4"), ("y", "f8")]), np.zeros(50, dtype="V7"), np.zeros(4, dtype="U9"),
    np.frombuffer(text, dtype="u1"), np.asarray(memoryview(bytearray(100))), np.rec.array([(1, Item())], dtype=[("a", int), ("b", "O")]),
    np.broadcast_to(np.arange(3), (1000, 3)), np.lib.stride_tricks.as_strided(np.arange(10), (3, 3), (8, 8)),
    np.ma.array([1, 2], mask=[0, 1]), np.matrix([[1, 2]]), np.array(["2020-01-01"], dtype="M8[D]"),
]
frame = pd.DataFrame({"n": np.arange(100), "s": np.linspace(0, 1, 100), "text": ["row %d" % n for n in range(100)]})
views = [frame["n"].to_numpy()[5:10], frame["text"].to_numpy()[:5]]
arrays += views
if hasattr(frame, "_mgr"):
    arrays += [block.values for block in frame._mgr.blocks if isinstance(block.values, np.ndarray)]


def tell():
    told, seen, left = [], set(), list(arrays)
    while left:
        one = left.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        base = one.base
        if isinstance(base, np.ndarray):
            left.append(base)
        held = []
        plain = one.view(np.ndarray)
        if one.flags.owndata and plain.dtype == object:
            held = [hex(id(item)) for item in plain.ravel("K")]
        elif one.flags.owndata and plain.dtype.names and plain.dtype.hasobject:
            for name in objects_of(plain.dtype):
                part = plain
                for word in name:
                    part = part[word]
                held += [hex(id(item)) for item in part.ravel("K")]
        told.append({"address": hex(id(one)), "owned": one.nbytes if one.flags.owndata else 0,
                     "base": None if base is None else hex(id(base)), "items": held, "dtype": str(one.dtype)})
    with open(os.environ["FIXTURE_FOLDER"] + "/arrays", "w") as out:
        json.dump(told, out)
    return b"done\n"


_truth.hold({"a": tell})
