# Weak references of every kind: none of them is a reference.
#
#   ref, ref + callback, several to one, proxy, WeakMethod, WeakSet, WeakKey/ValueDictionary, finalize; alive and dead
import weakref

import _truth


class Target:
    def method(self):
        return self

    def __call__(self):
        return self


class Slotted:
    __slots__ = ("__weakref__", "x")


class Ref(weakref.ref):
    __slots__ = ("key",)


class RefWithDict(weakref.ref):
    pass


def on_death(_):
    return None


alive, slotted = Target(), Slotted()
dead = Target()
keyed = Ref(alive)
keyed.key = ["key"]
attributed = RefWithDict(alive, on_death)
attributed.extra = ["extra"]
values = weakref.WeakValueDictionary(a=alive, gone=dead)
keys = weakref.WeakKeyDictionary({alive: ["value"], dead: ["value of a dead key"]})
members = weakref.WeakSet([alive, slotted, dead])
bound = weakref.WeakMethod(alive.method)
finalizer = weakref.finalize(alive, print, ["argument"], key=["keyword"])
to_dead = [weakref.ref(dead), weakref.ref(dead, on_death), weakref.proxy(dead)]
del dead
zoo = [weakref.ref(alive), weakref.ref(alive), weakref.ref(alive, on_death), weakref.ref(alive, lambda r: [alive]),
       weakref.proxy(alive), weakref.proxy(alive, on_death), weakref.ref(slotted), weakref.ref(Target),
       weakref.ref(on_death), weakref.proxy(slotted), weakref.ref({1, 2}), weakref.ref(frozenset([1]))]
zoo.append([weakref.ref(cls) for cls in (int, str, dict, weakref.ref, Target)])
many = [Target() for _ in range(20)]
refs = {weakref.ref(t): [i] for i, t in enumerate(many)}
_truth.hold()
