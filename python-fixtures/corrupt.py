# A heap that is broken on purpose: what reads it must survive and say so. Ask no truth of this process.
#
#   corrupt.py gc_link | list_item | type_pointer | dict_keys | list_length | refcount
import gc
import struct
import sys

import _ctypes

import _truth


class Victim:
    pass


class _Int(_ctypes._SimpleCData):
    _type_ = "i"


class _Pointer(_ctypes._SimpleCData):
    _type_ = "P"


class _Buffer(_ctypes._SimpleCData):
    _type_ = "P"


class _Write(_ctypes.CFuncPtr):
    _flags_ = 1 | 4
    _restype_ = _Int


memcpy = _Write(_ctypes.dlsym(_ctypes.dlopen(None, 0), "memcpy"))


def poke(addr, value):
    source = struct.pack("<Q", value)
    memcpy(_Pointer(addr), _Pointer(id(source) + bytes.__basicsize__ - 1), _Pointer(8))


def peek(addr):
    copy = bytearray(8)
    view = _Buffer.from_buffer(copy)
    memcpy(_Pointer(_ctypes.addressof(view)), _Pointer(addr), _Pointer(8))
    return struct.unpack("<Q", copy)[0]


gc.collect()
gc.disable()
victims = [[i, [i]] for i in range(1000)]
things = [Victim() for _ in range(100)]
tables = [{str(i): i for i in range(20)} for _ in range(100)]
head = object.__basicsize__
nowhere = 0x7F0000001000
kind = sys.argv[1] if len(sys.argv) > 1 else "gc_link"
if kind == "gc_link":
    poke(id(victims[500]) - 16, nowhere)
elif kind == "list_item":
    poke(peek(id(victims[500]) + head + 8), nowhere)
elif kind == "type_pointer":
    poke(id(things[50]) + head - 8, nowhere)
elif kind == "dict_keys":
    poke(id(tables[50]) + head + 16, nowhere)
elif kind == "list_length":
    poke(id(victims[500]) + head, 1 << 60)
elif kind == "refcount":
    poke(id(victims[500]) + head - 16, 0)
else:
    sys.exit("what shall be broken?")
_truth.hold(prepare=False)
