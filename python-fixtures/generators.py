# Generators, coroutines and asynchronous generators in every state.
#
#   created | suspended | suspended in try / with / yield from | running (in a thread) | finished | closed | thrown into
import sys
import threading
import types

import _truth


def numbers(n):
    local = "local%d" % n
    for i in range(n):
        try:
            yield [i, local]
        finally:
            local = [local]


def delegating(n):
    before = ["before"]
    result = yield from numbers(n)
    return before, result


def deep(n):
    if n:
        yield from deep(n - 1)
    else:
        yield [n]


def handling():
    try:
        raise ValueError(["inside"])
    except ValueError as caught:
        yield caught
        yield [1, (yield [2])]


def with_stack():
    yield [1, {"a": (2, [3]), "b": (yield [4]), "c": max([5], (yield [6]))}]


class Awaitable:
    def __await__(self):
        step = [1]
        yield step


async def waiting(x):
    mine = ["coro"]
    await x
    return mine


async def nested(x):
    return await waiting(waiting(x))


async def producing(n):
    y = ["agen"]
    for i in range(n):
        yield y, i


async def consuming(source):
    async for item in source:
        await Awaitable()


class Manager:
    def __enter__(self):
        return [self]

    def __exit__(self, *info):
        return False

    async def __aenter__(self):
        await Awaitable()

    async def __aexit__(self, *info):
        return False


def within():
    with Manager() as m:
        yield m


async def awithin():
    async with Manager():
        await Awaitable()


def started(g, steps=1):
    for _ in range(steps):
        g.send(None)
    return g


def exhausted(g):
    for _ in g:
        pass
    return g


def closed(g):
    next(g)
    g.close()
    return g


def thrown(g):
    next(g)
    try:
        g.throw(KeyError("thrown"))
    except KeyError as error:
        return [g, error]


async_generator = producing(3)
step = async_generator.__anext__()
try:
    step.send(None)
except StopIteration:
    pass
begun = producing(2)
suspended_consumer = started(consuming(producing(2)))
finished = waiting(Awaitable())
started(finished)
try:
    finished.send(None)
except StopIteration as stop:
    result = stop

never = [waiting(Awaitable()), nested(Awaitable()), producing(1)]
zoo = [
    numbers(3), started(numbers(3)), started(numbers(3), 2), exhausted(numbers(2)), closed(numbers(3)),
    thrown(numbers(3)), started(delegating(3)), exhausted(delegating(1)), started(deep(20)), started(handling()),
    started(handling(), 2), started(with_stack()), started(within()), (x for x in [[1], [2]]),
    started(x for x in [[1], [2]]), started(([x, y] for x in "ab" for y in "cd"), 3), never,
    started(waiting(Awaitable())), started(nested(Awaitable())), started(awithin()), async_generator, step,
    begun, begun.asend(1), producing(1).athrow(KeyError), producing(1).aclose(), suspended_consumer, finished, result,
    Awaitable().__await__(), waiting(Awaitable()).__await__(), types.coroutine(numbers)(1),
]
if sys.version_info >= (3, 10):
    zoo += [anext(producing(1)), anext(producing(1), [1])]

release, entered = threading.Event(), threading.Event()


def blocking():
    mine = ["running generator"]
    entered.set()
    release.wait()
    yield mine


running = blocking()
thread = threading.Thread(target=next, args=(running,), daemon=True)
thread.start()
entered.wait()
_truth.hold()
