"""Memory that is somewhere: `memory.py KIND`. Says READY, waits for a line, and answers with what it knows of itself."""

import ctypes
import gc
import mmap
import os
import sys
import threading

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]

SIZE = 64 << 20
kept = []


class MallInfo(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()
    ]


def allocate(count, size):
    blocks = [libc.malloc(size) for _ in range(count)]
    for block in blocks:
        libc.memset(block, 1, size)
    return blocks


def objects():
    kept.extend({"key": number} for number in range(300_000))


def buffers():
    kept.append(bytearray(b"x") * SIZE)


def malloc():
    kept.append(allocate(60_000, 1000))


def untouched():
    """A gigabyte that an object owns and nobody has touched, beside a C library's memory."""
    kept.append(bytes(1 << 30))
    malloc()


def freed():
    blocks = allocate(80_000, 1000)
    for nth, block in enumerate(blocks):
        if nth % 50:
            libc.free(block)
    kept.append(blocks[::50])


def fragments():
    made = [(number, str(number)) for number in range(1_000_000)]
    kept.extend(made[::60])
    del made
    gc.collect()


def mapped():
    block = mmap.mmap(-1, SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    block.write(b"x" * SIZE)
    kept.append(block)


def shared():
    with open("/dev/shm/pyheap-fixture-%d" % os.getpid(), "w+b") as file:
        os.unlink(file.name)
        file.truncate(SIZE)
        block = mmap.mmap(file.fileno(), SIZE)
    block.write(b"x" * SIZE)
    kept.append(block)


def stacks():
    """Threads that have used much of their stacks: their descriptions are at the end of these."""
    started = threading.Semaphore(0)

    def run():
        libc.memset(threading.get_ident() - (28 << 20), 1, 24 << 20)
        started.release()
        threading.Event().wait()

    threading.stack_size(32 << 20)
    for _ in range(3):
        threading.Thread(target=run, daemon=True).start()
        started.acquire()


def arenas():
    """Arenas of threads with blocks of many sizes, of which many are free again."""
    hold = threading.Lock()
    hold.acquire()
    ready = [threading.Lock() for _ in range(4)]

    def churn():
        sizes = [16, 24, 40, 100, 500, 900, 1500, 5000, 70_000, 140_000]
        blocks = []
        for number in range(3000):
            blocks.append(libc.malloc(sizes[number * 7919 % len(sizes)]))
            if number % 5 < 2:
                libc.free(blocks.pop(number * 104_729 % len(blocks)))
        kept.append(blocks)

    def run(ready):
        churn()
        # Nothing after this asks for memory.
        ready.release()
        hold.acquire()

    churn()
    for lock in ready:
        lock.acquire()
        threading.Thread(target=run, args=(lock,), daemon=True).start()
    for lock in ready:
        lock.acquire()


def malloc_info():
    read, write = os.pipe()
    libc.fdopen.restype = ctypes.c_void_p
    file = ctypes.c_void_p(libc.fdopen(write, b"w"))
    libc.malloc_info(0, file)
    libc.fclose(file)
    text = b""
    while True:
        part = os.read(read, 1 << 16)
        if not part:
            return text.decode().replace("\n", " ")
        text += part


def main():
    globals()[sys.argv[1]]()
    mallinfo = getattr(libc, "mallinfo2", None)
    if mallinfo is not None:
        mallinfo.restype = MallInfo
    os.write(1, b"READY %d\n" % os.getpid())
    # What asks for memory of its own (a buffer for text) would change what is asked.
    before = mallinfo() if mallinfo else None
    while True:
        command = os.read(0, 100)
        if not command:
            return
        after = mallinfo() if mallinfo else None
        if command == b"mallinfo\n":
            told = [[getattr(info, name) for name, _ in MallInfo._fields_] for info in (before, after)]
            os.write(1, (" ".join(map(str, told[0] + told[1])) + "\n").encode())
        else:
            os.write(1, malloc_info().encode() + b"\n")


main()
