# Objects that nothing but C memory refers to, each in another place.
#
#   InData: a variable of the C library     OnStack: the stack of a thread that is in C code
#   InMalloc, InPymalloc: a block of one of the allocators     Freed: nowhere; its block was given back
#   AtExit: a callback of atexit, which is a root of its own
#
# Each reference is counted, as C code does it, and no Python object has it.
import atexit
import ctypes
import threading

import _truth


class InData:
    pass


class OnStack:
    pass


class InMalloc:
    pass


class InPymalloc:
    pass


class Freed:
    pass


class AtExit:
    pass


libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
libc.free.restype = None
api = ctypes.pythonapi
api.PyMem_Malloc.restype = ctypes.c_void_p
api.PyMem_Malloc.argtypes = [ctypes.c_size_t]


def counted(kind):
    one = kind()
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(one))
    return id(one)


def put(block, address):
    ctypes.memset(block, 0, 40)
    ctypes.memmove(block + 16, ctypes.byref(ctypes.c_void_p(address)), 8)


def wait(address):
    # One argument more than the function knows: ctypes keeps it on the stack.
    libc.pause(ctypes.c_void_p(address))


ctypes.c_void_p.in_dll(libc, "optarg").value = counted(InData)
put(libc.malloc(1000), counted(InMalloc))
put(api.PyMem_Malloc(40), counted(InPymalloc))
freed = libc.malloc(1000)
put(freed, counted(Freed))
ctypes.memset(freed, 0, 40)
libc.free(freed)
thread = threading.Thread(target=wait, args=(counted(OnStack),), name="in C code", daemon=True)
thread.start()
atexit.register(print, AtExit())
del freed
_truth.hold(running=True)
