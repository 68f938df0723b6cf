# What C code has leaked: objects that the collector does not track, and blocks that are no objects.
#
#   str x 300   int x 200   bytes x 100   tuple x 50 (untracked)   one reference each, nothing refers to them
#   blocks of 64 bytes x 400   of 192 bytes x 100                  handed out, and forgotten
#   a tuple of 7 str, leaked as a whole: one orphan, the str hang on it
#
# The command `l` leaks the same again and answers with the addresses of the objects, by kind.
import ctypes
import gc

import _truth

increase = ctypes.pythonapi.Py_IncRef
increase.argtypes = [ctypes.py_object]
malloc = ctypes.pythonapi.PyMem_Malloc
malloc.argtypes = [ctypes.c_size_t]
malloc.restype = ctypes.c_void_p
made = 0


def number():
    global made
    made += 1
    return made


def leak():
    kinds = {"str": [], "int": [], "bytes": [], "tuple": [], "whole": []}
    makers = (
        ("str", 300, lambda n: "leaked text %d" % n),
        ("int", 200, lambda n: 10 ** 20 + n),
        ("bytes", 100, lambda n: b"leaked bytes %d" % n),
        ("tuple", 50, lambda n: (n + 0.5, None)),
        ("whole", 1, lambda n: tuple("hanging %d %d" % (n, i) for i in range(7))),
    )
    for kind, count, make in makers:
        for _ in range(count):
            one = make(number())
            increase(one)
            kinds[kind].append("%x" % id(one))
            one = None
    gc.collect()  # untracks the tuples
    for size, count in ((60, 400), (180, 100)):
        for _ in range(count):
            # What is overwritten cannot look like anything else.
            ctypes.memset(malloc(size), 0x55, size)
    return kinds


def answer():
    return (";".join(kind + "=" + ",".join(ids) for kind, ids in leak().items()) + "\n").encode()


leak()
_truth.hold({"l": answer})
