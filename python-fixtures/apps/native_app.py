# Released extensions that keep Python objects in memory of their own, where no tp_traverse shows them.
#
#   rpds 0.30.0 (Rust)          InMap x 100 the values of a HashTrieMap   InList x 1000 the items of a List, one behind the other
#   moka_py 0.5.0 (Rust)        InCache x 50 the values of a cache, by an allocator of its own
#   ahocorasick 2.3.1 (C)       InTrie x 20 the values of an Automaton
#   lru 1.4.1 (C)               InLru x 10 the values of an LRU, whose dictionary no tp_traverse shows
#   nobody                      Lost x 3: counted, and forgotten
#
# The command `r` asks each extension for what it keeps, and answers with the type, the address and the reference count of
# each object, less what the question itself adds.
import ctypes
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import _truth  # noqa: E402
import ahocorasick  # noqa: E402
import lru  # noqa: E402
import moka_py  # noqa: E402
import rpds  # noqa: E402


class InMap:
    pass


class InList:
    pass


class InCache:
    pass


class InTrie:
    pass


class InLru:
    pass


class Lost:
    pass


tree = rpds.HashTrieMap({number: InMap() for number in range(100)})
chain = rpds.List([InList() for _ in range(1000)])
cache = moka_py.Moka(1000)
for number in range(50):
    cache.set(number, InCache())
trie = ahocorasick.Automaton()
for number in range(20):
    trie.add_word("word %d" % number, InTrie())
recent = lru.LRU(100)
for number in range(10):
    recent[number] = InLru()
for _ in range(3):
    lost = Lost()
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(lost))
del lost, number


def kept():
    for number in range(100):
        yield tree[number]
    yield from chain
    for number in range(50):
        yield cache.get(number)
    for number in range(20):
        yield trie.get("word %d" % number)
    for number in range(10):
        yield recent[number]


def count(one):
    return sys.getrefcount(one)


def answer():
    lines = []
    lone = object()
    base = count(lone)
    for one in kept():
        lines.append("%s 0x%x %d" % (type(one).__name__, id(one), count(one) - base))
    return (";".join(lines) + "\n").encode()


answer()
_truth.hold({"r": answer})
