# A collection that does not end: code of Python that the collector has called waits (`set_aside.py KIND`).
#
#   KIND del       a finalizer, while all that is to be freed hangs on a list of the collector's own
#   KIND weakref   the callback of a weak reference to what is to be freed
#   KIND clear     a finalizer, while what is to be freed is being freed
#   KIND start, stop    a function of gc.callbacks, before or behind all that
#
#   Large -> itself     too large for Python's own allocator, and nothing but itself refers to it
#   Small -> itself
#
# The command `p` answers with the addresses of those that are alive and were to be freed.
import gc
import json
import sys
import threading
import weakref

import _truth

KIND = sys.argv[1]
gate = threading.Lock()
gate.acquire()
reached = threading.Lock()
reached.acquire()
ADDRESSES = {}


def block(*_):
    reached.release()
    gate.acquire()


class Large:
    __slots__ = ["me", "__weakref__"] + ["slot%d" % n for n in range(100)]


class Small:
    __slots__ = ["me", "__weakref__"]


class Finalized(Large):
    __slots__ = ()

    def __del__(self):
        block()


class Untracked:
    """It is freed with what refers to it."""

    __slots__ = ()

    def __del__(self):
        block()


def circle(kind):
    one = kind()
    one.me = one
    ADDRESSES.setdefault(kind.__name__, []).append(id(one))
    return one


def collect():
    if KIND == "start" or KIND == "stop":
        gc.callbacks.append(lambda phase, info: block() if phase == KIND else None)
    refs = []
    for nth in range(20):
        one = circle(Large)
        if KIND == "weakref" and nth == 10:
            refs.append(weakref.ref(one, block))
        # What is cleared first is freed at once, and is not there any more.
        if KIND == "clear" and nth == 0:
            one.slot0 = Untracked()
            del ADDRESSES["Large"][0]
        one = circle(Small)
        if KIND == "del" and nth == 10:
            one = circle(Finalized)
    del one
    gc.collect()


gc.collect()
gc.disable()
threading.Thread(target=collect, daemon=True).start()
reached.acquire()
if KIND == "stop":
    ADDRESSES.clear()
answer = (json.dumps(ADDRESSES) + "\n").encode()
_truth.hold({"p": lambda: answer}, prepare=False)
