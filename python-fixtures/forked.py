# A process that is made to fork from outside, in the state that its argument names. The main thread blocks or works; a
# helper thread reads lines from standard input and says back what it did.
#
#   calls NAME   the main thread is in one blocking system call; `wake` lets it return: `result errno`
#   signals      counts SIGCHLD, SIGUSR1 and SIGRTMIN; `counts` tells them
#   files PATH   holds a pipe to PATH.fifo, a lock on PATH.lock and a port; `close` lets go of all three
#   children     `wait` asks the kernel for any child; `exec` runs this program anew in the same process
#   execs        runs itself anew all the time, from the main thread and from another one, and says how often
#   masks        blocks and ignores some signals, for the test to compare
#   threads      makes and ends threads all the time; `counts` tells how many
#   mapping N    a list of a million items whose storage has madvise(N)
#   rseq PATH    the only thread stays in a restartable sequence until the first byte of PATH is set; then it says how
#                often it was interrupted
#   memory N     N mebibytes that it has written to; two more threads wait
#   state NAME   vfork, userfaultfd, dispatch, filter, errno, processes, address-space: what is in the way of a fork;
#                `fork` tries one
import ctypes
import fcntl
import mmap
import os
import resource
import select
import signal
import socket
import struct
import sys
import threading
import time

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long


def say(*words):
    os.write(1, (" ".join(str(word) for word in words) + "\n").encode())


def serve(commands):
    for line in iter(sys.stdin.readline, ""):
        say(*commands[line.strip()]())


def call(function, *args):
    ctypes.set_errno(0)
    result = function(*args)
    return result, ctypes.get_errno()


def calls(name):
    reader, writer = os.pipe()
    one, other = socket.socketpair()
    listener = socket.create_server(("127.0.0.1", 0))
    buffer = ctypes.create_string_buffer(64)
    lock = threading.Lock()
    lock.acquire()
    wakes = {
        "read": lambda: os.write(writer, b"abc"),
        "poll": lambda: os.write(writer, b"abc"),
        "select": lambda: os.write(writer, b"abc"),
        "epoll_wait": lambda: os.write(writer, b"abc"),
        "accept": lambda: socket.create_connection(listener.getsockname()),
        "recv": lambda: other.send(b"abcd"),
        "futex": lock.release,
        "sigtimedwait": lambda: os.kill(os.getpid(), signal.SIGUSR1),
        "nanosleep": lambda: None,
        "waitpid": lambda: os.write(writer, b"abc"),
    }
    results = []
    done = threading.Event()

    def wake():
        wakes[name]()
        done.wait()
        return results[0]

    child = 0
    if name == "waitpid":
        child = os.fork()
        if child == 0:
            os.read(reader, 1)
            os._exit(7)
    if name == "sigtimedwait":
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    threading.Thread(target=serve, args=({"wake": wake},), daemon=True).start()
    say("ready")
    if name == "read":
        results.append(call(libc.read, reader, buffer, 64))
    elif name == "poll":
        results.append(call(libc.poll, struct.pack("ihh", reader, select.POLLIN, 0), 1, 60000))
    elif name == "select":
        bits = bytearray(128)
        bits[reader // 8] |= 1 << reader % 8
        array = (ctypes.c_char * 128).from_buffer(bits)
        timeout = struct.pack("ll", 60, 0)
        results.append(call(libc.select, reader + 1, array, None, None, ctypes.create_string_buffer(timeout)))
    elif name == "epoll_wait":
        epoll = select.epoll()
        epoll.register(reader, select.EPOLLIN)
        results.append(call(libc.epoll_wait, epoll.fileno(), buffer, 1, 60000))
    elif name == "accept":
        result = call(libc.accept, listener.fileno(), None, None)
        results.append((1 if result[0] > 2 else result[0], result[1]))
    elif name == "recv":
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 60, 0))
        results.append(call(libc.recv, one.fileno(), buffer, 64, 0))
    elif name == "futex":
        results.append((int(lock.acquire()), 0))
    elif name == "sigtimedwait":
        mask = struct.pack("Q", 1 << signal.SIGUSR1 - 1)
        timeout = struct.pack("ll", 60, 0)
        # The system call itself: the C library retries it.
        results.append(call(libc.syscall, 128, mask, None, timeout, 8))
    elif name == "nanosleep":
        begun = time.monotonic()
        result = call(libc.nanosleep, struct.pack("ll", 3, 0), None)
        slept = time.monotonic() - begun
        results.append((result[0] if 3 <= slept < 30 else slept, result[1]))
    elif name == "waitpid":
        result = call(libc.waitpid, child, None, 0)
        results.append((int(result[0] == child), result[1]))
    done.set()
    threading.Event().wait()


def signals():
    counts = {signal.SIGCHLD: 0, signal.SIGUSR1: 0, signal.SIGRTMIN: 0}

    def handle(number, frame):
        counts[number] += 1
        if number != signal.SIGCHLD:
            os.write(1, b"u" if number == signal.SIGUSR1 else b"r")

    for number in counts:
        signal.signal(number, handle)

    def tell():
        return [""] + [counts[number] for number in counts]

    threading.Thread(target=serve, args=({"counts": tell},), daemon=True).start()
    say("ready")
    while True:
        sum(range(1000))


def files(path):
    pipe = os.open(path + ".fifo", os.O_WRONLY)
    lock = open(path + ".lock", "w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    listener = socket.create_server(("127.0.0.1", 0))

    def close():
        os.close(pipe)
        lock.close()
        listener.close()
        return ["closed"]

    say("ready", listener.getsockname()[1])
    serve({"close": close})


def children():
    def wait():
        try:
            return ["child", os.waitpid(-1, os.WNOHANG)]
        except ChildProcessError:
            return ["none"]

    def execute():
        os.execv(sys.executable, [sys.executable, "-u", __file__, "children"])

    say("ready")
    serve({"wait": wait, "exec": execute})


def execs(count=0):
    say(int(count))
    words = [sys.executable, "-S", "-u", __file__, "execs", str(int(count) + 1)]
    if int(count) % 2:
        threading.Thread(target=os.execv, args=(words[0], words)).start()
        threading.Event().wait()
    os.execv(words[0], words)


def masks():
    signal.signal(signal.SIGTRAP, signal.SIG_IGN)
    signal.signal(signal.SIGUSR2, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTRAP, signal.SIGHUP, signal.SIGRTMIN + 3])
    say("ready")
    serve({})


def threads():
    made = [0]

    def make():
        while True:
            thread = threading.Thread(target=lambda: None)
            thread.start()
            thread.join()
            made[0] += 1

    for _ in range(4):
        threading.Thread(target=make, daemon=True).start()
    say("ready")
    serve({"counts": lambda: made})


items = []


def mapping(advice):
    items.extend([None] * 1000000)
    storage = ctypes.c_size_t.from_address(id(items) + 24).value
    start = (storage + 4095) & ~4095
    length = (storage + 8000000 - start) & ~4095
    result = libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(length), int(advice)) if int(advice) else 0
    say("ready" if result == 0 else "cannot")
    serve({})


def rseq(path):
    try:
        offset = ctypes.c_ssize_t.in_dll(libc, "__rseq_offset").value
    except ValueError:
        return say("cannot", "this C library registers no restartable sequences")
    with open(path, "r+b") as file:
        shared = mmap.mmap(file.fileno(), 4096)
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    at = ctypes.addressof(ctypes.c_char.from_buffer(code))
    store = b"\x64\x48\x89\x04\x25" + struct.pack("i", offset + 8)  # mov %rax, %fs:(rseq_cs)
    again = b"\x48\x89\xf0" + store  # mov %rsi, %rax
    body = b"\x48\xff\x47\x08" + b"\x80\x3f\x00" + b"\x74\xf7"  # incq 8(%rdi); cmpb $0, (%rdi); je body
    left = b"\x31\xc0" + store + b"\xc3"  # xor %eax, %eax; ret
    signature = struct.pack("I", 0x53053053)
    start = len(again)
    aborted = start + len(body) + len(left) + len(signature)
    abort = b"\x48\xff\x47\x10" + b"\xeb" + struct.pack("b", -(aborted + 6))  # incq 16(%rdi); jmp again
    whole = again + body + left + signature + abort
    code[: len(whole)] = whole
    code[64:96] = struct.pack("IIQQQ", 0, 0, at + start, len(body), at + aborted)
    run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(at)
    say("ready")
    run(ctypes.addressof(ctypes.c_char.from_buffer(shared)), at + 64)
    say("left", struct.unpack("Q", shared[16:24])[0])
    serve({})


def memory(size):
    items.append(b"x" * (int(size) << 20))
    for _ in range(2):
        threading.Thread(target=threading.Event().wait, daemon=True).start()
    say("ready")
    serve({"echo": lambda: ["echo"]})


def fork():
    try:
        child = os.fork()
    except OSError as error:
        return ["refused", error.errno]
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return ["forked"]


def state(name):
    if name == "userfaultfd":
        fd = libc.syscall(323, os.O_CLOEXEC)
        if fd < 0:
            return say("cannot", ctypes.get_errno())
        fcntl.ioctl(fd, 0xC018AA3F, bytearray(struct.pack("QQQ", 0xAA, 0, 0)))
        area = mmap.mmap(-1, 1 << 20)
        at = ctypes.addressof(ctypes.c_char.from_buffer(area))
        fcntl.ioctl(fd, 0xC020AA00, bytearray(struct.pack("QQQQ", at, 1 << 20, 1, 0)))
    elif name == "dispatch":
        selector = ctypes.create_string_buffer(b"\0")
        if libc.prctl(59, 1, ctypes.c_ulong(0), ctypes.c_ulong(0), selector) != 0:
            return say("cannot", ctypes.get_errno())
    elif name in ("filter", "errno"):
        # clone and wait4 end the process, or fail with EPERM; all else is allowed.
        code = b"".join(
            struct.pack("HBBI", *row)
            for row in [
                (0x20, 0, 0, 0),
                (0x15, 2, 0, 56),
                (0x15, 1, 0, 61),
                (0x06, 0, 0, 0x7FFF0000),
                (0x06, 0, 0, 0x80000000 if name == "filter" else 0x00050001),
            ]
        )
        rows = ctypes.create_string_buffer(code)
        program = struct.pack("HxxxxxxQ", 5, ctypes.addressof(rows))
        libc.prctl(38, 1, 0, 0, 0)
        if libc.prctl(22, 2, program) != 0:
            return say("cannot", ctypes.get_errno())
    elif name == "processes":
        resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
    elif name == "address-space":
        with open("/proc/self/statm") as file:
            size = (int(file.read().split()[0]) + 4) * 4096
        resource.setrlimit(resource.RLIMIT_AS, (size, size))
    elif name == "vfork":
        reader, writer = os.pipe()

        def start():
            if libc.vfork() == 0:
                libc.prctl(1, 9, 0, 0, 0)  # it ends with its parent
                libc.read(reader, ctypes.create_string_buffer(1), 1)
                os._exit(0)

        threading.Thread(target=start, daemon=True).start()
    say("ready")
    serve({"echo": lambda: ["echo"], "fork": fork})


getattr(sys.modules["__main__"], sys.argv[1])(*sys.argv[2:])
