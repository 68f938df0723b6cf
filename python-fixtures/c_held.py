# What C code alone holds, beside what nothing holds.
#
#   Leaked x 3, one reference each   Leaked_twice   a cycle with a reference from C   what hangs on each
#   Lost <-> list, garbage
#
# A reference is leaked as a faulty extension does it: counted, and forgotten. The command `g` collects with
# DEBUG_SAVEALL and answers with the addresses of what the collector found.
import ctypes
import gc

import _truth


class Leaked:
    pass


class LeakedTwice(Leaked):
    pass


class LeakedCycle(Leaked):
    pass


class Below:
    pass


class Lost:
    pass


def leak(one, times):
    for _ in range(times):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(one))


def make():
    for kind, times in ((Leaked, 1), (Leaked, 1), (Leaked, 1), (LeakedTwice, 2), (LeakedCycle, 1)):
        one = kind()
        one.rows = [Below()]
        if kind is LeakedCycle:
            one.me = one
        leak(one, times)
    for _ in range(5):
        lost = Lost()
        lost.me = [lost]


gc.collect()
gc.disable()
make()


def collect():
    gc.set_debug(gc.DEBUG_SAVEALL)
    gc.collect()
    return (" ".join(hex(id(one)) for one in gc.garbage) + "\n").encode()


_truth.hold({"g": collect}, prepare=False)
