# Cyclic garbage whose end makes something happen, beside such with the same looks whose end makes nothing happen.
#
#   WithDel x 3   Watched x 2 with callbacks of weak references that stay   Cleaned with weakref.finalize
#   generators, coroutines, asynchronous generators: suspended in try, in with, elsewhere, in a handler, not begun, done
#   files and a socket: open, closed   a pending task and one that is done   a future with an exception, asked for and not
#   WithTpDel <-> Behind, which no collection frees (where the interpreter has _testcapi)
#   weak references that are garbage themselves, or have no callback
#
# The command `c` collects, and answers with what ran: a JSON object of `kind name` and how often.
import asyncio
import collections
import gc
import json
import os
import socket
import sys
import warnings
import weakref

import _truth

ran = collections.Counter()
kept = []
descriptors = []


class WithDel:
    def __del__(self):
        ran["__del__ __main__.WithDel"] += 1


class Watched:
    pass


class Cleaned:
    pass


class Context:
    def __init__(self, name):
        self.name = name

    def __enter__(self):
        return self

    def __exit__(self, *_):
        ran["generator " + self.name] += 1


class Suspend:
    def __await__(self):
        yield


def gone(_):
    ran["weakref_callback gone"] += 1


def never_called(_):
    ran["weakref_callback never_called"] += 1


def cleanup():
    ran["weakref_finalize cleanup"] += 1


def guarded():
    me = yield
    try:
        yield
    finally:
        ran["generator guarded"] += 1
        me = None


def in_with():
    me = yield
    with Context("in_with"):
        yield
    me = None


def delegating():
    me = yield
    try:
        yield from guarded()
    finally:
        ran["generator delegating"] += 1
        me = None


def unguarded():
    me = yield
    try:
        pass
    finally:
        me = [me]
    yield
    me = None


def in_handler():
    me = yield
    try:
        raise ValueError
    except ValueError:
        yield
    me = None


def done():
    me = yield
    try:
        yield
    finally:
        me = None


async def never_awaited(box):
    pass


async def awaited(box):
    box.append(box)


async def waiting(box):
    try:
        await Suspend()
    finally:
        ran["generator waiting"] += 1


async def waiting_bare(box):
    await Suspend()


async def many():
    me = yield
    try:
        yield
    finally:
        ran["generator many"] += 1
        me = None


async def hooked():
    me = yield
    try:
        yield
    finally:
        me = None


def hook(_):
    ran["asyncgen_hook hooked"] += 1


async def forever():
    await asyncio.Future()


def step(awaitable):
    try:
        awaitable.send(None)
    except StopIteration:
        pass


def lost(one):
    """One that only a cycle holds."""
    box = [one]
    box.append(box)
    return one


def generators():
    for make in guarded, in_with, delegating, unguarded, in_handler, done:
        one = make()
        next(one)
        one.send(one)
        if make is delegating:
            one.send(None)
        if make is done:
            next(one, None)
    unbegun = []
    unbegun.append((guarded(), unbegun))


def coroutines():
    for make in never_awaited, awaited, waiting, waiting_bare:
        box = []
        one = make(box)
        box.append(one)
        if make is not never_awaited:
            step(one)


def asynchronous_generators():
    for make in many, hooked:
        sys.set_asyncgen_hooks(finalizer=hook if make is hooked else None)
        one = make()
        step(one.asend(None))
        step(one.asend(one))
    sys.set_asyncgen_hooks(finalizer=None)


def files():
    for name in "open", "closed":
        file = lost(open(os.devnull, "w"))
        plug = lost(socket.socket())
        if name == "open":
            descriptors.extend((file.fileno(), plug.fileno()))
        else:
            file.close()
            plug.close()


def futures():
    for asked in True, False:
        future = lost(loop.create_future())
        future.set_exception(ValueError("nobody asks"))
        if asked:
            future.exception()
    finished = lost(loop.create_task(awaited([])))
    loop.run_until_complete(finished)
    lost(loop.create_task(forever()))
    loop.run_until_complete(asyncio.sleep(0))


def noted(_, context):
    kind = "task" if "task" in context else "future"
    ran[kind + " _asyncio." + kind.title()] += 1


def weak():
    for _ in range(2):
        one = Watched()
        one.me = one
        kept.append(weakref.ref(one, gone))
    kept.append(weakref.ref(one))
    two = Watched()
    two.me = [two]
    two.me.append(weakref.ref(two, never_called))
    kept.append(weakref.ref(gone, never_called))
    three = Cleaned()
    three.me = three
    weakref.finalize(three, cleanup).atexit = False


def legacy():
    try:
        from _testcapi import with_tp_del
    except ImportError:
        return

    @with_tp_del
    class WithTpDel:
        def __tp_del__(self):
            pass

    class Behind:
        pass

    one = WithTpDel()
    one.behind = Behind()
    one.behind.back = one


def closed(descriptor):
    try:
        os.fstat(descriptor)
    except OSError:
        return True
    return False


def collect():
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        gc.collect()
    for warning in told:
        if "never awaited" in str(warning.message):
            ran["coroutine never_awaited"] += 1
    for descriptor, name in zip(descriptors, ("_io.FileIO", "socket.socket")):
        ran["file " + name] += closed(descriptor)
    for one in gc.garbage:
        if type(one).__name__ == "WithTpDel":
            ran["tp_del WithTpDel"] += 1
    return (json.dumps(ran) + "\n").encode()


loop = asyncio.new_event_loop()
loop.set_exception_handler(noted)
gc.collect()
gc.disable()
for _ in range(3):
    with_del = WithDel()
    with_del.me = with_del
del with_del
for make in generators, coroutines, asynchronous_generators, files, futures, weak, legacy:
    make()
del make
_truth.hold({"c": collect}, prepare=False)
