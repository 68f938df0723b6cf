"""What a process says of its own heap: the oracle that pyheap is measured by.

    fixture:  builds objects, calls hold()           stdout: READY <pid>
    driver :  tell OUT [ADDRS]\n on stdin  ------->  the process forks; the child, which has the same heap at the
                                                     same addresses, writes the truth to OUT and ends
                                           <-------  TOLD 0  (or TOLD <wait status> if the child died)
    driver :  closes stdin                 ------->  the process ends

The parent allocates nothing that outlives a command, so the heap that pyheap reads while the process waits is the
heap that the child tells. The fork is libc's own, called with the GIL held: os.fork() would run Python's after-fork
handlers, which end the other threads' states and change the heap. Where other threads *run* (hold(running=True)),
os.fork() must do, since it renews the GIL.

    driver :  still\n               ------->  the process forks; the child, which stands still, is the one to be read and asked
                                     <-------  READY <pid of the child>

`still` is for servers, whose other threads go on: of a forked process only the thread that forked goes on. Its heap is
the server's at that moment, with the states and frames of all threads. The server itself waits for the child's end.

Excluded, and no more than these (E lines): up to 3.10, where an executing frame is an object, the frame of _serve(),
whose locals and value stack differ between waiting and telling, and the child's own frame above it.

The file, a line each, addresses in hex with 0x:
    H <JSON>                                        the header
    E <addr> <why>                                  not to be compared
    T <addr> <name>                                 a type, before its first object
    O <addr> <type> <size> <gen><track> <rc> <ids>  an object of the closure of gc.get_objects(), sys.modules
    A <addr> <type> <size> <gen><track> <rc> <ids>  an object listed in ADDRS that the closure does not reach
    X <addr> <why>                                  an address listed in ADDRS where there is no live object
    Z <objects>                                     the end: the file is complete
size is sys.getsizeof(), or ? where a __sizeof__ written in Python would have to run; gen is 0, 1, 2 (gc.get_objects(g))
or - (in none: not tracked, or frozen); track is t or u (gc.is_tracked()); ids are those of gc.get_referents().
While addresses outside the closure are looked at, OUT.progress names the one in hand: if the child dies, that one.
"""
import gc
import io
import json
import operator
import os
import struct
import sys

import _ctypes

_TYPE_DICT = type.__dict__["__dict__"].__get__
_TYPE_FLAGS = type.__dict__["__flags__"].__get__
_TYPE_QUALNAME = type.__dict__["__qualname__"].__get__
_TYPE_MODULE = type.__dict__["__module__"].__get__
_TYPE_MRO = type.__dict__["__mro__"].__get__
_HEAPTYPE = 1 << 9
_PYTHON_FUNCTION = type(lambda: 0)


class _Int(_ctypes._SimpleCData):
    _type_ = "i"


class _Pointer(_ctypes._SimpleCData):
    _type_ = "P"


class _GilFunction(_ctypes.CFuncPtr):
    _flags_ = 1 | 4  # cdecl, and the GIL stays held
    _restype_ = _Int


_libc_fork = _GilFunction(_ctypes.dlsym(_ctypes.dlopen(None, 0), "fork"))
_libc_write = _GilFunction(_ctypes.dlsym(_ctypes.dlopen(None, 0), "write"))


def type_name(t):
    """module.qualname as pyheap has it: without running a metaclass's code."""
    qualname = _TYPE_QUALNAME(t)
    if _TYPE_FLAGS(t) & _HEAPTYPE:
        module = _TYPE_DICT(t).get("__module__")
        module = module if isinstance(module, str) else "builtins"
    else:
        module = _TYPE_MODULE(t)
    return module + "." + qualname


def _sizeof_runs_python(t):
    for base in _TYPE_MRO(t) or ():
        found = _TYPE_DICT(base).get("__sizeof__")
        if found is not None:
            return isinstance(found, _PYTHON_FUNCTION)
    return False


def _emit(kind, objects, generation, base, types, seen, write):
    """Writes a line for each object, and returns the referents not seen before (each once)."""
    found = []
    getrefcount, is_tracked, get_referents = sys.getrefcount, gc.is_tracked, gc.get_referents
    getsizeof, add, push = sys.getsizeof, seen.add, found.append
    code_type = type(_emit.__code__)
    for o in objects:
        t = type(o)
        t_id = id(t)
        by_python = types.get(t_id)
        if by_python is None:
            by_python = types[t_id] = _sizeof_runs_python(t)
            name = type_name(t).replace("\\", "\\\\").replace("\n", "\\n")
            write(("T 0x%x %s\n" % (t_id, name)).encode("utf-8", "replace"))
        if t is dict and len(o) > 500 and all(map(operator.is_, o, o.values())):
            write(b"E 0x%x interned\n" % id(o))  # the telling itself interns strings, and frees some
            continue
        if issubclass(type(o), type):  # isinstance() would ask o for its __class__
            types.setdefault("met", set()).add(id(o))
        count = getrefcount(o) - base
        if by_python or (t is code_type and o.co_filename == __file__):
            size = "?"  # the telling itself warms up the caches of this file's code (up to 3.10)
        else:
            size = getsizeof(o)
        referents = get_referents(o)
        line = "%s 0x%x 0x%x %s %s%s %d %s\n" % (
            kind, id(o), t_id, size, generation, "t" if is_tracked(o) else "u", count,
            " ".join(map(hex, map(id, referents))))
        write(line.encode("ascii"))
        for r in referents:
            i = id(r)
            if i not in seen:
                add(i)
                push(r)
        referents = r = None
    return found


def _closure(kind, objects, base, types, seen, write):
    while objects:
        objects = _emit(kind, objects, "-", base, types, seen, write)


def _refcount_base(types):
    """What the counting itself adds to a refcount."""
    lines = []
    _emit("P", [object()], "-", 0, {id(object): False}, set(), lines.append)
    return int(lines[-1].split()[5])


def _known_types(types):
    """All type objects that subclasses of object lead to, and those already met."""
    known, todo = set(types), [object]
    subclasses = type.__subclasses__
    while todo:
        t = todo.pop()
        known.add(id(t))
        todo.extend(s for s in subclasses(t) if id(s) not in known)
    return known


def _header_reader():
    """A function that gives the refcount and type words at an address, or None where nothing is mapped: the kernel
    copies them into a pipe, and says EFAULT instead of killing us."""
    reader, writer = os.pipe()
    skip = 16 if hasattr(sys, "getobjects") else 0
    words, end = struct.Struct("<QQ"), _Int(writer)

    def read(addr):
        if addr >> 47 or _libc_write(end, _Pointer(addr + skip), _Pointer(16)) != 16:
            return None
        return words.unpack(os.read(reader, 16))
    return read


def looks_alive(header):
    """Whether the first words of an object are a plausible refcount: a freed block has 0 or a pointer there."""
    # 3.14 keeps flags in the upper 16 bits
    count_bits = (1 << 48) - 1 if sys.version_info >= (3, 14) else (1 << 64) - 1
    return 0 < header[0] & count_bits < 1 << 33


def still_there(addresses):
    """Those of some addresses at which there is an object yet, without dying of the others: what only a cache of the
    interpreter knew may be gone when it is asked for."""
    known, header_at = _known_types(()), _header_reader()
    there = []
    for addr in addresses:
        header = header_at(addr)
        if header is not None and header[1] in known and looks_alive(header):
            there.append(addr)
    return there


def _confirm(path, out, base, types, seen, write):
    """Looks at the addresses of a file that the closure did not reach. Nothing is called an object before its first
    words were seen to be a plausible refcount and the address of a type."""
    known = _known_types(types)
    known.update(types.get("met", ()))
    header_at = _header_reader()
    progress = os.open(out + ".progress", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(path, "rb", 1 << 20) as lines:
        left = [addr for addr in map(_from_hex, lines) if addr not in seen]
    seen.update(left)
    more = True
    while more:  # types of sub-interpreters are confirmed first, then their objects
        more, later = False, []
        for addr in left:
            header = header_at(addr)
            if header is None:
                write(b"X 0x%x not_mapped\n" % addr)
            elif header[1] not in known:
                later.append(addr)
            elif not looks_alive(header):
                write(b"X 0x%x no_refcount_0x%x\n" % (addr, header[0]))
            else:
                os.pwrite(progress, b"0x%016x\n" % addr, 0)
                o = _ctypes.PyObj_FromPtr(addr)
                if issubclass(type(o), type):  # isinstance() would ask o for its __class__
                    known.add(addr)
                    more = True
                _emit("A", [o], "-", base, types, set(), write)
        left = later
    for addr in left:
        write(b"X 0x%x no_type_at_0x%x\n" % (addr, header_at(addr)[1]))
    os.unlink(out + ".progress")


def _from_hex(line):
    return int(line, 16)


def _without(objects, excluded):
    """A function of its own: up to 3.11 the comprehension's cell would exist before the objects are listed."""
    return [o for o in objects if id(o) not in excluded]


def _tell(command):
    """In the child: writes the truth. The generations are taken before anything else is allocated."""
    count = gc.get_count()
    blocks = sys.getallocatedblocks()
    young, middle, old = gc.get_objects(0), gc.get_objects(1), gc.get_objects(2)
    words = command.split(b"\n", 1)[0].decode().split()
    out = words[1]
    types = {}
    with open(out, "wb", 1 << 20) as file:
        write = file.write
        header = {
            "version_info": list(sys.version_info), "hexversion": sys.hexversion, "pid": os.getppid(),
            "debug": hasattr(sys, "gettotalrefcount"), "count": count, "threshold": gc.get_threshold(),
            "stats": gc.get_stats(), "garbage": len(gc.garbage), "frozen": gc.get_freeze_count(),
            "allocated_blocks": blocks, "enabled": gc.isenabled(),
        }
        write(b"H " + json.dumps(header).encode() + b"\n")
        excluded = {id(count)}  # made before the generations were listed
        if sys.version_info < (3, 11):
            frame = sys._getframe()
            excluded.update((id(frame), id(frame.f_back), id(frame.f_back.f_back)))
            write(b"E 0x%x tell\nE 0x%x child\nE 0x%x serve\n" % (
                id(frame), id(frame.f_back), id(frame.f_back.f_back)))
            frame = None
        base = _refcount_base(types)
        seen = set(excluded)
        lists = []
        for generation, objects in (("0", young), ("1", middle), ("2", old)):
            objects = _without(objects, excluded)
            seen.update(map(id, objects))
            lists.append((generation, objects))
        del young, middle, old, objects
        more = []
        while lists:
            generation, objects = lists.pop()
            more.append(_emit("O", objects, generation, base, types, seen, write))
            del objects
        if id(sys.modules) not in seen:  # what was frozen is in no generation
            seen.add(id(sys.modules))
            more.append([sys.modules])
        while more:
            _closure("O", more.pop(), base, types, seen, write)
        if len(words) > 2:
            _confirm(words[2], out, base, types, seen, write)
        write(b"Z %d\n" % len(seen))


def _child(command):
    status = 1
    try:
        _tell(command)
        status = 0
    except BaseException:
        import traceback
        traceback.print_exc()
    finally:
        os._exit(status)


def _serve(read, buffer, fork, commands):
    """Waits and answers. What its locals hold while it waits must not change from one wait to the next."""
    pid = handler = count = None
    write, waitpid, blocks = os.write, os.waitpid, sys.getallocatedblocks
    while read(buffer):
        if buffer[0] == 116:  # t
            pid = fork()
            if pid == 0:
                _child(buffer)
            write(1, b"TOLD %d\n" % waitpid(pid, 0)[1])
        elif buffer[0] == 98:  # b
            count = blocks()
            write(1, b"BLOCKS %d\n" % count)
        elif buffer[0] == 115:  # s
            _stand_still(read, commands)
        else:
            handler = commands.get(buffer[0])
            write(1, b"?\n" if handler is None else handler())
        pid = handler = count = None
        buffer[:] = bytes(len(buffer))


def _stand_still(read, commands):
    """Goes on in a child in which nothing else does."""
    # A thread that waited for the GIL would have asked for it: the child would wait for that thread to take it.
    sys.setswitchinterval(1000)
    os.stat("/")  # lets go of the GIL, so that those who have asked have it
    pid = _libc_fork()
    if pid == 0:
        os.write(1, b"READY %d\n" % os.getpid())
        _serve(read, bytearray(4096), _libc_fork, commands)
    else:
        os.waitpid(pid, 0)
    os._exit(0)


def hold(commands=None, running=False, prepare=True):
    """Says READY and serves commands until stdin closes. `commands`: first byte of a line -> function that returns
    the bytes of the answer. `running`: other threads execute Python code while this one waits. `prepare=False`
    leaves garbage and the collector as they are."""
    if prepare:
        gc.collect()
        gc.disable()
    # The cache of attributes holds the last name that was looked up in each of its places. Who tells the truth looks up
    # others, and what nothing else holds (`_Enum__in_progress`) would be freed by that.
    getattr(sys, "_clear_type_cache", lambda: None)()
    stdin = io.FileIO(0, closefd=False)
    commands = {ord(k): v for k, v in (commands or {}).items()}
    sys.stdout.flush()
    os.write(1, b"READY %d\n" % os.getpid())
    _serve(stdin.readinto, bytearray(4096), os.fork if running else _libc_fork, commands)
    sys.stdout.flush()
    os._exit(0)
