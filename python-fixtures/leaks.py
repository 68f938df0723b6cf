# Leaks as they are found in the wild, one kind a run (`leaks.py KIND`). The command `g` leaks 500 objects more.
#
#   module.name -> list | dict | deque | cache | closure | bound method | class attribute | default argument -> Leaked
#   a thread's local, a task, a generator, a traceback, a handler, C code, or nothing but a cycle      -> Leaked
import _thread
import asyncio
import atexit
import collections
import contextvars
import ctypes
import functools
import gc
import logging
import queue
import sys
import threading
import weakref

import _truth

COUNT = 500


class Leaked:
    """What leaks: an object with something on it that is bigger than itself."""

    def __init__(self, number):
        self.number = number
        self.data = bytearray(1000)

    def called(self):
        return self.number


def each(leak):
    """A kind of leak that leaks one object at a time."""

    def grow():
        for number in range(COUNT):
            leak(number)

    return grow


# In what a module names.
registry = {}
history = []
jobs = queue.Queue()
recent = collections.deque()


def in_dict(number):
    registry["session-%d" % len(registry)] = Leaked(number)


def in_list(number):
    history.append(Leaked(number))


def in_nested(number):
    registry.setdefault("users", {}).setdefault(len(history) % 7, []).append(Leaked(number))


def in_queue(number):
    jobs.put(Leaked(number))


def in_deque(number):
    recent.append((number, Leaked(number)))


def in_bytes(number):
    history.append(b"%d" % number * 500)


class Pool:
    items = []
    by_name = {}


def in_class(number):
    Pool.items.append(Leaked(number))


def in_default(number, seen=[]):
    seen.append(Leaked(number))


# In what keeps functions.
@functools.lru_cache(maxsize=None)
def computed(number):
    return Leaked(number)


class Report:
    @functools.lru_cache(maxsize=None)
    def render(self):
        return 1

    def __init__(self, number):
        self.data = Leaked(number)


def in_lru_cache(number):
    computed(number + computed.cache_info().currsize)


def in_method_cache(number):
    Report(number).render()


handlers = []


def in_closure(number):
    payload = Leaked(number)

    def handler():
        return payload

    handlers.append(handler)


def in_partial(number):
    handlers.append(functools.partial(print, Leaked(number)))


class Signal:
    def __init__(self):
        self.receivers = []

    def connect(self, receiver):
        self.receivers.append(receiver)


saved = Signal()


def in_callback(number):
    saved.connect(Leaked(number).called)


@functools.singledispatch
def encode(value):
    return value


def in_dispatch(number):
    kind = type("Row", (), {"rows": Leaked(number)})
    encode.register(kind, lambda value: value)


def in_atexit(number):
    atexit.register(Leaked(number).called)


def in_finalize(number):
    weakref.finalize(Pool, Leaked(number).called)


# In what runs.
local = threading.local()
variable = contextvars.ContextVar("variable")
ready = _thread.allocate_lock()
more = _thread.allocate_lock()
more.acquire()
ready.acquire()


def in_local(number):
    if not hasattr(local, "cache"):
        local.cache = []
    local.cache.append(Leaked(number))


def in_context(number):
    kept = variable.get(None)
    if kept is None:
        kept = []
        variable.set(kept)
    kept.append(Leaked(number))


def worker():
    batch = []
    while True:
        more.acquire()
        batch.extend(Leaked(number) for number in range(COUNT))
        ready.release()


def in_thread():
    more.release()
    ready.acquire()


def rows(number):
    row = Leaked(number)
    while True:
        yield row.number


def in_generator(number):
    one = rows(number)
    next(one)
    history.append(one)


class Failed(Exception):
    pass


def fail(number):
    body = Leaked(number)
    raise Failed(number) if body else None


def in_traceback(number):
    try:
        fail(number)
    except Failed as error:
        history.append(error)


background = set()


async def handle(number, answer):
    request = Leaked(number)
    await answer
    return request


loop = asyncio.new_event_loop()
never = None


def in_tasks():
    global never
    never = never or loop.create_future()
    for number in range(COUNT):
        background.add(loop.create_task(handle(number, never)))
    loop.call_soon(loop.stop)
    loop.run_forever()


def in_coroutine(number):
    one = handle(number, None)
    try:
        one.send(None)
    except TypeError:
        pass
    history.append(handle(number, Leaked(number)))


class Sink(logging.Handler):
    def __init__(self, number):
        super().__init__()
        self.buffer = Leaked(number)


def in_handler(number):
    logging.getLogger("app.requests").addHandler(Sink(number))


class Slotted:
    __slots__ = ("owner", "rows")


table = Slotted()
table.rows = []


def in_slots(number):
    row = Slotted()
    row.owner = Leaked(number)
    table.rows.append(row)


class Node:
    def __init__(self, value, after):
        self.value = value
        self.after = after


head = None


def in_links(number):
    global head
    head = Node(Leaked(number), head)


# Held by nothing that Python knows.
def in_c(number):
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(Leaked(number)))


class Accessor:
    def __init__(self, owner):
        self.owner = owner


def in_cycle(number):
    one = Leaked(number)
    one.accessor = Accessor(one)


def in_caught(number):
    try:
        fail(number)
    except Failed as error:
        last = error
        assert last


references = {}


def in_weakrefs(number):
    one = Leaked(number)
    references[len(references)] = weakref.ref(one)


class Watched:
    pass


watched = Watched()


def in_weak_callbacks(number):
    history.append(weakref.ref(watched, Leaked(number).called))


# A slow leak beside a cache that fills once: what grows at every step is the leak.
class Cached(Leaked):
    def __init__(self, number):
        super().__init__(number)
        self.data = bytearray(10000)


class Request(Leaked):
    """What comes and goes: there are always as many."""


cache = {}


def in_slowly():
    if history:
        for number in range(COUNT - len(cache)):
            cache[len(cache)] = Cached(number)
    recent.clear()
    recent.extend(Request(number) for number in range(COUNT))
    history.extend(Leaked(number) for number in range(50))


kinds = {name[3:]: function for name, function in list(globals().items()) if name.startswith("in_")}
name = sys.argv[1]
grow = kinds[name] if name in ("thread", "tasks", "slowly") else each(kinds[name])
if name == "thread":
    threading.Thread(target=worker, name="worker", daemon=True).start()
grow()
gc.collect()
gc.disable()


def command():
    grow()
    return b"\n"


_truth.hold({"g": command}, prepare=False)
