# Cyclic garbage that waits for the collector, which is off.
#
#   Lost <-> [Lost]   ring of 10   class in its own cycle   with a finalizer   holding a big acyclic tree   gc.garbage
#   closure <-> cell   generator <-> its frame   exception <-> traceback   partial, deque, OrderedDict, slots, coroutine
#
# The command `g` collects with DEBUG_SAVEALL and answers with the addresses of what the collector found.
import asyncio
import collections
import functools
import gc
import itertools
import sys
import weakref

import _truth


# Without what a collection does not keep even with DEBUG_SAVEALL: an object that comes back to life, and generators and
# coroutines, which their own finalizer closes, so that they end before they are kept.
PLAIN = "plain" in sys.argv


class Lost:
    pass


class WithDel:
    def __del__(self):
        self.done = True


class Resurrecting:
    kept = []

    def __del__(self):
        Resurrecting.kept.append(self)


class Slotted:
    __slots__ = ("me", "other")


def closure():
    def again(n):
        return again(n - 1) if n else held

    held = [1, 2, 3]
    return again


def generator():
    me = yield
    kept = {"a": [me]}
    yield kept


async def waiting(box):
    box.append(box)
    await asyncio.sleep(0)


def failing():
    kept = ["a local of the frame"]
    try:
        raise ValueError(kept)
    except ValueError as error:
        last = error
    return None


def others():
    closure()
    failing()
    if not PLAIN:
        one = generator()
        next(one)
        one.send(one)
        seven = []
        seven.append(waiting(seven))
    two = Slotted()
    two.me, two.other = two, [two]
    three = collections.deque()
    three.append(three)
    four = collections.OrderedDict()
    four["self"] = four
    five = functools.partial(print)
    five.__setstate__((print, (five,), {}, {"me": five}))
    six = []
    six.append(itertools.chain(six, [six]))
    eight = Lost()
    eight.method = eight.__init__
    nine = collections.defaultdict(list)
    nine[1].append(nine)
    ten = type("Meta", (type,), {})("Made", (), {})
    ten.me = ten
    proxy = [weakref.proxy(eight)]
    proxy.append(proxy)


def make():
    others()
    for i in range(100):
        one = Lost()
        one.me = [one, i]
    ring = [Lost() for _ in range(10)]
    for a, b in zip(ring, ring[1:] + ring[:1]):
        a.next = b
    kind = type("OnlyGarbage", (), {"big": [[i] for i in range(1000)]})
    kind.instance = kind()
    for cls in (WithDel,) if PLAIN else (WithDel, Resurrecting):
        one = cls()
        one.me = one
    holder = {}
    holder["self"] = holder
    holder["tree"] = {str(i): [i] for i in range(1000)}
    watched = Lost()
    watched.me = watched
    return weakref.ref(watched)


gc.collect()
gc.disable()
watching = make()
gc.garbage.append(["put there by hand"])


def collect():
    by_hand = len(gc.garbage)
    gc.set_debug(gc.DEBUG_SAVEALL)
    gc.collect()
    return (" ".join(hex(id(one)) for one in gc.garbage[by_hand:]) + "\n").encode()


_truth.hold({"g": collect}, prepare=False)
