"""Threads that wait, each for something else.

    deadlock-a  --waits-->  lock b  --held by-->  deadlock-b  --waits-->  lock a  --held by-->  deadlock-a
    rlock, event, queue-get, queue-put, condition, semaphore, barrier, future, join, sleep, pipe, accept, recv, child

The command `c` answers with the frames of all of them, as the process itself sees them: `sys._current_frames()`.
"""
import concurrent.futures
import json
import os
import queue
import socket
import subprocess
import sys
import threading
import time

import _truth

lock_a, lock_b, owned = threading.Lock(), threading.Lock(), threading.RLock()
items, full = queue.Queue(), queue.Queue(1)
full.put(1)
condition, barrier, never = threading.Condition(), threading.Barrier(2), threading.Event()
semaphore, future = threading.Semaphore(0), concurrent.futures.Future()
read_end, write_end = os.pipe()
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(1)
client = socket.create_connection(listener.getsockname())
peer = listener.accept()[0]
child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
both = threading.Barrier(2)


class Holder:
    def __init__(self):
        self.inner = threading.Lock()
        self.inner.acquire()

    def wait(self):
        self.inner.acquire()


holder = Holder()


def deadlock(first, second):
    with first:
        both.wait()
        with second:
            pass


def take_owned():
    with owned:
        pass


def wait_condition():
    with condition:
        condition.wait()


THREADS = {
    "deadlock-a": lambda: deadlock(lock_a, lock_b),
    "deadlock-b": lambda: deadlock(lock_b, lock_a),
    "rlock": take_owned,
    "attribute": holder.wait,
    "event": lambda: never.wait(),
    "queue-get": lambda: items.get(),
    "queue-put": lambda: full.put(2),
    "condition": wait_condition,
    "semaphore": lambda: semaphore.acquire(),
    "barrier": lambda: barrier.wait(),
    "future": lambda: future.result(),
    "join": lambda: started["event"].join(),
    "sleep": lambda: time.sleep(10000),
    "pipe": lambda: os.read(read_end, 1),
    "accept": lambda: listener.accept(),
    "recv": lambda: peer.recv(1),
    "child": lambda: child.wait(),
}
owned.acquire()
started = {}
for name, target in THREADS.items():
    started[name] = threading.Thread(target=target, name=name, daemon=True)
    started[name].start()


def frames():
    told = {}
    for thread in threading.enumerate():
        frame, lines = sys._current_frames().get(thread.ident), []
        while frame is not None:
            lines.append([frame.f_code.co_name, frame.f_code.co_filename, frame.f_lineno])
            frame = frame.f_back
        told[thread.name] = {"ident": thread.ident, "native": thread.native_id, "frames": lines}
    return json.dumps(told).encode() + b"\n"


_truth.hold({"c": frames}, prepare=False)
