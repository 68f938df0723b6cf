# Python subclasses of every builtin, plain and with attributes, slots or a weak reference.
#
#   class I(int)    i -> digits, then __dict__ behind them (variable size)
#   class L(list)   l -> items, then __dict__
import array
import collections
import datetime
import decimal
import functools
import io
import itertools
import random
import threading
import types
import weakref

import _truth

BASES = [
    (int, (5,)), (int, (10 ** 40,)), (int, (0,)), (int, (-(2 ** 31),)), (float, (1.5,)), (complex, (1, 2)),
    (str, ("abc",)), (str, ("d\u0151",)), (str, ("\U0001F600abc",)), (str, ("",)), (str, ("x" * 700,)),
    (bytes, (b"12345",)), (bytes, (b"",)), (bytearray, (b"abc",)), (tuple, ((1, [2]),)), (tuple, ((),)),
    (tuple, (tuple(range(50)),)), (list, ([1, [2]],)), (list, ()), (dict, ({"a": [1]},)), (dict, ()),
    (set, ([1, 2, (3, 4)],)), (set, (range(50),)), (frozenset, (range(30),)), (frozenset, ()),
    (collections.OrderedDict, ([("a", [1]), ("b", 2)],)), (collections.defaultdict, (list, {"a": [1]})),
    (collections.deque, (range(100),)), (collections.Counter, ("abca",)), (collections.UserList, ([1],)),
    (array.array, ("i", range(20))), (datetime.datetime, (2020, 1, 1)), (datetime.date, (2020, 1, 1)),
    (datetime.time, (1, 2)), (datetime.timedelta, (1,)), (decimal.Decimal, ("1.5",)), (decimal.Decimal, ("1" * 200,)),
    (functools.partial, (print, 1)), (io.BytesIO, (b"abc",)), (io.StringIO, ("abc",)), (random.Random, (5,)),
    (Exception, ("x", [1])), (KeyError, ("k",)), (OSError, (2, "no", "file")), (StopIteration, ([1],)),
    (UnicodeDecodeError, ("utf-8", b"x", 0, 1, "r")), (SystemExit, (3,)), (ImportError, ("i",)),
    (types.ModuleType, ("m", "doc")), (types.SimpleNamespace, ()), (threading.local, ()), (object, ()),
    (property, ()), (classmethod, (len,)), (staticmethod, (len,)), (enumerate, ([1],)), (zip, ([1], [2])),
    (map, (len, ["a"])), (filter, (None, [1])), (super, (int, 5)),
    (itertools.chain, ([1], [2])), (itertools.count, (5,)), (weakref.ref, (collections.OrderedDict,)),
    (weakref.WeakValueDictionary, ()),
]


def instances():
    out = []
    for number, (base, args) in enumerate(BASES):
        plain = type("Plain_%d_%s" % (number, base.__name__), (base,), {})
        bare = plain(*args)
        with_attributes = plain(*args)
        with_attributes.attr = ["attr", number]
        with_attributes.other = number
        out += [bare, with_attributes]
        deep = type("Deep_%d" % number, (plain,), {"__slots__": ()})
        out.append(deep(*args))
        if base.__itemsize__ == 0:
            slotted = type("Slotted_%d" % number, (base,), {"__slots__": ("s", "t")})
            one = slotted(*args)
            one.s = ["slot"]
            out.append(one)
        else:
            out.append(type("NoDict_%d" % number, (base,), {"__slots__": ()})(*args))
    return out


zoo = instances()
Point = collections.namedtuple("Point", "x y z")
zoo += [Point(1, [2], "x"), Point(None, None, None)]
keep = [weakref.ref(o) for o in zoo if type(o).__weakrefoffset__]
_truth.hold()
