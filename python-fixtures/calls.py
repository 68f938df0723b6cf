# Calls that will be made later, and what only they hold.
#
#   atexit: Function (called), Argument, Keyword            a callback and its arguments; one that was taken back
#   pending calls: Waiting, a list of a Below, a bytes      each counted, and held by nothing else
#                  Borrowed                                 not counted: a global holds it
#                  a number, a block that is no object, null
#                  Called                                   counted, of the call that is being made
#
# A pending call is made where the main thread looks for one. The first of them holds this program, and no other is made
# meanwhile. The command `r` answers with the reference counts of what waits.
import atexit
import ctypes
import sys

import _truth

Call = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
later = ctypes.pythonapi.Py_AddPendingCall
later.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
# Never called: this program ends before.
decrease = ctypes.cast(ctypes.pythonapi.Py_DecRef, ctypes.c_void_p)


class Function:
    def __call__(self, *_, **__):
        pass


class Argument:
    pass


class Keyword:
    pass


class TakenBack:
    def __call__(self):
        pass


class Waiting:
    pass


class Below:
    pass


class Borrowed:
    pass


class Called:
    pass


def counted(one):
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(one))
    return id(one)


def answer():
    counts = [sys.getrefcount(ctypes.cast(at, ctypes.py_object).value) - base for at in waiting]
    return (" ".join(map(str, counts)) + "\n").encode()


def hold(_):
    for argument in waiting + [id(borrowed), 7, block, 0]:
        if later(decrease, argument) != 0:
            raise SystemExit("the queue is full")
    _truth.hold({"r": answer})


atexit.register(Function(), Argument(), keyword=Keyword())
taken = TakenBack()
atexit.register(taken)
atexit.unregister(taken)
del taken
ctypes.pythonapi.PyMem_Malloc.restype = ctypes.c_void_p
block = ctypes.pythonapi.PyMem_Malloc(64)
ctypes.memset(block, 0, 64)
borrowed = Borrowed()
waiting = [counted(Waiting()), counted([Below()]), counted(b"bytes that only a pending call holds " + bytes(5000))]
lone = counted(object())
base = sys.getrefcount(ctypes.cast(lone, ctypes.py_object).value) - 1
first = Call(hold)
later(ctypes.cast(first, ctypes.c_void_p), counted(Called()))
while True:
    pass
