# Cyclic garbage that waits for the collector, which is off.
#
#   Lost <-> [Lost]   ring of 10   class in its own cycle   with a finalizer   holding a big acyclic tree   gc.garbage
import gc
import weakref

import _truth


class Lost:
    pass


class WithDel:
    def __del__(self):
        self.done = True


class Resurrecting:
    kept = []

    def __del__(self):
        Resurrecting.kept.append(self)


def make():
    for i in range(100):
        one = Lost()
        one.me = [one, i]
    ring = [Lost() for _ in range(10)]
    for a, b in zip(ring, ring[1:] + ring[:1]):
        a.next = b
    kind = type("OnlyGarbage", (), {"big": [[i] for i in range(1000)]})
    kind.instance = kind()
    for cls in (WithDel, Resurrecting):
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
_truth.hold(prepare=False)
