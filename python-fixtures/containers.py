# The builtin containers, at every fill that changes their layout.
#
#   zoo -> list: empty | exact | over-allocated | shrunk | holding itself
#       -> tuple: empty | flat | nested
#       -> dict: empty | str keys (1-byte, 2-byte, 4-byte index) | int keys | mixed | with holes | from fromkeys
#       -> set, frozenset: inside the object | own table | with holes
#       -> bytes, bytearray (own buffer, cut at the front), memoryview, range, slice, array, deque
import array
import collections
import sys
import types

import _truth


def grown(n):
    out = []
    for i in range(n):
        out.append(i)
    return out


def lists():
    shrunk = grown(100)
    del shrunk[10:]
    popped = grown(10)
    popped.pop()
    itself = []
    itself.append(itself)
    return [[], [1], list(range(5)), list(range(1000)), [None] * 7, grown(10), grown(17), shrunk, popped, itself,
            [[]] * 3, [[[]]], list("abc"), grown(70000)]


def tuples():
    return [(), (1,), (1, 2, 3), tuple(range(100)), (1, [2]), ((1, 2), (3, (4, [5]))), (object(),) * 2]


def dicts():
    holes = {str(i): [i] for i in range(20)}
    for i in range(15):
        del holes[str(i)]
    mixed = {"a": 1, "b": [2]}
    mixed[5] = [6]
    emptied = {i: [i] for i in range(50)}
    for i in range(50):
        del emptied[i]
    cleared = {"x": [1]}
    cleared.clear()
    popped = {i: i for i in range(6)}
    popped.popitem()
    return [{}, {"a": 1}, {"a": [1]}, {1: 2}, {i: i for i in range(5)}, {i: [i] for i in range(6)},
            {str(i): [i] for i in range(11)}, {i: i for i in range(300)}, {str(i): i for i in range(300)},
            {i: i for i in range(70000)}, {"k%d" % i: [i] for i in range(70000)}, dict.fromkeys(range(10)),
            dict.fromkeys(range(1000), []), holes, mixed, emptied, cleared, popped, dict(popped), dict(holes),
            {(1, (2,)): [3]}, {frozenset([1]): {2}}, {None: None, True: [False]}]


def sets():
    holes = set(range(100))
    for i in range(90):
        holes.discard(i)
    few = set(range(6))
    few.pop()
    return [set(), {1}, set(range(4)), set(range(5)), set(range(6)), set(range(100)), frozenset(), frozenset([1, 2]),
            frozenset(range(50)), {(1, 2)}, {("a", frozenset([(1,)]))}, holes, few, set(range(30000))]


def buffers():
    cut = bytearray(b"x" * 1000)
    del cut[:300]
    empty = bytearray(b"abc")
    empty.clear()
    grown_bytes = bytearray()
    for i in range(100):
        grown_bytes.append(i)
    view = memoryview(cut)
    return [b"", b"a", b"x" * 100, b"x" * 600, bytearray(), bytearray(b"a"), bytearray(b"x" * 1000), cut, empty,
            grown_bytes, view, view[10:20], memoryview(b"abcd").cast("B", [2, 2]), memoryview(b"x" * 1000),
            array.array("i", range(10)), array.array("d"), array.array("q", range(1000)),
            memoryview(array.array("H", range(10)))]


def others():
    counter = collections.Counter("abracadabra")
    ordered = collections.OrderedDict((i, [i]) for i in range(50))
    del ordered[3]
    ordered.move_to_end(5)
    rotated = collections.deque(range(200))
    rotated.rotate(70)
    half = collections.deque(range(300))
    for _ in range(150):
        half.popleft()
    out = [range(5), range(2 ** 70), slice(1, [2], 3), slice(None), collections.deque(), collections.deque([1, [2]]),
           collections.deque(range(1000), maxlen=500), rotated, half, collections.defaultdict(list, {"a": [1]}),
           collections.defaultdict(), counter, collections.ChainMap({}, {"a": [1]}), ordered,
           collections.OrderedDict(), collections.OrderedDict(a=[1]), collections.UserDict({"a": 1}),
           types.MappingProxyType({"a": [1]}), types.SimpleNamespace(a=[1]), ordered.keys(), counter.items()]
    if sys.version_info >= (3, 15):
        names = {}
        exec("a = frozendict(a=[1], b=2)\nb = frozendict({1: 2})\nc = frozendict()\n"
             "class D(frozendict): pass\nd = D(x=[1])\nd.y = [2]\n", names)
        out.append(names)
    return out


zoo = [lists(), tuples(), dicts(), sets(), buffers(), others()]
_truth.hold()
