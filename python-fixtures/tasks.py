"""Tasks of asyncio in every state, of C code and of Python code, which wait for all that a task can wait for.

    main  --gather-->  child tasks  --lock, event, queue, sleep, stream, executor, shield, task group ...

The command `c` answers with what the process says of its tasks: name, state, the chain of frames (by `cr_await` and its
like), who waits for whom, and exceptions that nobody has retrieved; from 3.14 on also `asyncio.capture_call_graph`.
The loop stands still in a callback that reads the commands, so nothing changes meanwhile.
"""
import asyncio
import concurrent.futures
import gc
import json
import os
import sys
import threading
import types

import _truth

TASKS = []
PYTHON = "python" in sys.argv[1:]
if PYTHON:
    asyncio.Task = asyncio.tasks.Task = asyncio.tasks._PyTask
    asyncio.Future = asyncio.futures.Future = asyncio.futures._PyFuture
    # What knows the tasks of C code has a twin for those of Python code.
    for module in (asyncio.tasks, asyncio.futures):
        for twin in [name for name in vars(module) if name.startswith("_py_")]:
            for name in (twin[len("_py_"):], twin[len("_py"):]):
                if hasattr(module, name):
                    setattr(module, name, getattr(module, twin))
                    if hasattr(asyncio, name):
                        setattr(asyncio, name, getattr(module, twin))


class OwnTask(asyncio.tasks._PyTask if PYTHON else asyncio.Task):
    """A subclass, as some frameworks have."""


def make(coroutine, name, kind=None):
    loop = asyncio.get_running_loop()
    task = (kind or asyncio.Task)(coroutine, loop=loop, name=name)
    TASKS.append(task)
    return task


class Awaitable:
    def __init__(self, future):
        self.future = future

    def __await__(self):
        return (yield from self.future)


@types.coroutine
def old_style(future):
    return (yield from future)


async def deep(depth, future):
    if depth == 0:
        return await Awaitable(future)
    return await deep(depth - 1, future)


async def values(future):
    yield 1
    await future
    yield 2


async def iterate(future):
    async for value in values(future):
        del value


async def drive_by_hand(future):
    await values(future).asend(None)
    generator = values(future)
    await generator.__anext__()
    await generator.__anext__()


async def through_old_style(future):
    await old_style(future)


async def take(lock):
    async with lock:
        pass


async def hold(lock, future):
    async with lock:
        await future


async def cross(first, second, turn):
    async with first:
        await turn.wait()
        async with second:
            pass


async def wait_event(event):
    await event.wait()


async def get_item(queue):
    return await queue.get()


async def sleep_long():
    await asyncio.sleep(100000)


async def bare_yield():
    """Goes on at every turn of the loop."""
    while True:
        await asyncio.sleep(0)


async def await_task(other):
    await other


async def await_each_other(other):
    await asyncio.sleep(0)
    await other[0]


async def gather_them(*others):
    await asyncio.gather(*others)


async def wait_them(others, when):
    await asyncio.wait(others, return_when=when)


async def wait_limited(other):
    await asyncio.wait_for(other, 100000)


async def shielded(other):
    await asyncio.shield(other)


async def in_executor(event):
    await asyncio.get_running_loop().run_in_executor(None, event.wait)


async def read_stream(reader):
    await reader.read(1)


async def fail():
    raise ValueError("a message that is data")


async def fail_deep():
    await fail()


async def many(future):
    await future


if sys.version_info >= (3, 11):
    async def group(future):
        async with asyncio.TaskGroup() as tasks:
            TASKS.append(tasks.create_task(many(future), name="in-group-1"))
            TASKS.append(tasks.create_task(many(future), name="in-group-2"))


def chain(coroutine):
    """The frames of a coroutine and all that it awaits, the outermost first, as the process itself knows them."""
    lines, at = [], coroutine
    while at is not None:
        for prefix in ("cr", "gi", "ag"):
            if hasattr(at, prefix + "_frame"):
                frame = getattr(at, prefix + "_frame")
                if frame is not None:
                    lines.append([frame.f_code.co_name, frame.f_code.co_filename, frame.f_lineno])
                at = getattr(at, prefix + ("_await" if prefix != "gi" else "_yieldfrom"))
                break
        else:
            # What asend() and the like stand for is not told by any attribute, but by the collector.
            inner = [o for o in gc.get_referents(at) if isinstance(o, (types.AsyncGeneratorType, types.CoroutineType))]
            at = inner[0] if inner and type(at).__name__ in (
                "async_generator_asend", "async_generator_athrow", "coroutine_wrapper", "anext_awaitable") else None
    return lines


def state(task):
    if task.cancelled():
        return "cancelled"
    if task.done():
        return "failed" if task._exception is not None else "done"
    if task is asyncio.current_task(loop):
        return "running"
    return "waiting" if task._fut_waiter is not None and not task._fut_waiter.done() else "ready"


def call_graph(task):
    """(function, line) of each frame, the innermost first; and the names of the tasks that wait for it."""
    graph = asyncio.capture_call_graph(task)
    frames = [[entry.frame.f_code.co_name, entry.frame.f_lineno] for entry in graph.call_stack]
    return {"frames": frames, "awaited_by": sorted(hex(id(by.future)) for by in graph.awaited_by)}


def tell():
    told = {}
    for task in asyncio.all_tasks(loop) | set(TASKS):
        if state(task) in ("done", "cancelled"):
            continue
        row = {
            "name": task.get_name(), "state": state(task), "frames": chain(task.get_coro())[::-1],
            "coroutine": task.get_coro().__qualname__, "loop": hex(id(loop)),
            "unretrieved": bool(task._log_traceback), "cancelling": getattr(task, "cancelling", int)(),
        }
        if hasattr(asyncio, "capture_call_graph") and row["state"] in ("waiting", "ready"):
            try:
                row["graph"] = call_graph(task)
            except RecursionError:
                pass  # asyncio itself does not come to an end where tasks wait for each other
        told[hex(id(task))] = row
    answer = {"tasks": told, "thread": threading.get_ident(), "all": sorted(hex(id(t)) for t in asyncio.all_tasks(loop))}
    return json.dumps(answer).encode() + b"\n"


async def main():
    global loop
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    event, stop = asyncio.Event(), threading.Event()
    lock, a, b, turn = asyncio.Lock(), asyncio.Lock(), asyncio.Lock(), asyncio.Event()
    loop.set_default_executor(concurrent.futures.ThreadPoolExecutor(2, thread_name_prefix="pool"))
    read_end, write_end = os.pipe()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_end, "rb"))
    make(deep(3, future), "deep")
    make(iterate(future), "iterate")
    make(drive_by_hand(future), "by-hand", OwnTask)
    make(through_old_style(future), "old-style")
    holder = make(hold(lock, future), "holder")
    make(take(lock), "taker")
    make(cross(a, b, turn), "cross-a")
    make(cross(b, a, turn), "cross-b")
    make(wait_event(event), "event")
    make(get_item(asyncio.Queue()), "queue")
    sleeper = make(sleep_long(), "sleep")
    make(await_task(sleeper), "on-sleep")
    other = []
    first = make(await_each_other(other), "each-1")
    other.append(make(await_task(first), "each-2"))
    make(gather_them(sleeper, holder), "gather")
    make(wait_them({sleeper, holder}, asyncio.FIRST_COMPLETED), "wait-any")
    make(wait_them({sleeper}, asyncio.ALL_COMPLETED), "wait-all")
    make(wait_limited(sleeper), "limited")
    make(shielded(sleeper), "shield")
    for number in range(5):
        make(in_executor(stop), "executor-%d" % number)
    make(read_stream(reader), "stream")
    make(fail_deep(), "failed")
    retrieved = make(fail(), "retrieved")
    doomed = make(sleep_long(), "cancelled")
    for number in range(3):
        make(many(future), None)
    if sys.version_info >= (3, 11):
        make(group(future), "group")
    if sys.version_info >= (3, 12) and not PYTHON:
        TASKS.append(asyncio.Task(many(future), loop=loop, name="eager", eager_start=True))
    for _ in range(5):
        await asyncio.sleep(0)
    turn.set()
    doomed.cancel()
    for _ in range(5):
        await asyncio.sleep(0)
    retrieved.exception()
    make(bare_yield(), "spinning")
    for _ in range(3):
        await asyncio.sleep(0)
    try:
        _truth.hold({"c": tell}, prepare=False)
    finally:
        os._exit(0)


asyncio.run(main())
