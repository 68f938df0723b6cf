# Objects that nothing but the evaluation stacks of frames holds, each of a class of its own, beside bytes that are
# on the same stack. A thread for each place; all wait in C code that they have called.
#
#   thread "call":  take(thing("call"), text("call"), wait())     the first two are nowhere but on the stack
#
# The command `p` answers with the address and the reference count of each that is alive, as JSON.
import json
import operator
import sys
import threading
import weakref

import _ctypes
import _truth

gate = threading.Lock()
gate.acquire()
wait = gate.acquire
arrived = threading.Semaphore(0)
WEAK, TEXTS, KEPT = [], {}, [object() for _ in range(4)]
places = []
FORMAT = "%s %s"


class Thing:
    """Whatever is done with it blocks."""

    def block(self, other=None):
        take(arrive(), wait())

    __getitem__ = __lt__ = __add__ = __contains__ = __call__ = block

    def __setitem__(self, key, value):
        take(arrive(), wait())

    def __iter__(self):
        return self

    def __next__(self):
        take(arrive(), wait())

    @property
    def value(self):
        take(arrive(), wait())

    def __enter__(self):
        return [self]

    def __exit__(self, *what):
        return False

    async def __aenter__(self):
        return None

    async def __aexit__(self, *what):
        return False

    def __await__(self):
        yield take(arrive(), wait())


class Closing(Thing):
    def __del__(self):
        take(arrive(), wait())


def thing(name, base=Thing):
    one = type("T_" + name, (base,), {})()
    WEAK.append((name, weakref.ref(one)))
    return one


def text(name):
    one = ("text of " + name).encode()
    TEXTS[name] = id(one)
    return one


def arrive():
    arrived.release()


def take(*values, **named):
    return values


def place(function):
    places.append(function)
    return function


@place
def call():
    take(thing("call"), text("call"), arrive(), wait())


@place
def keywords():
    take(thing("keywords"), a=text("keywords"), b=take(arrive(), wait()))


@place
def method():
    thing("method").block(take(text("method"), arrive(), wait()))


@place
def unpacked():
    take(*(thing("unpacked"), text("unpacked")), *take(arrive(), wait()))


@place
def loop():
    for _ in [thing("loop"), text("loop")]:
        _ = None
        take(arrive(), wait())


@place
def nested_loops():
    for _ in (thing("nested_loops"),):
        for _ in (text("nested_loops"),):
            _ = None
            take(arrive(), wait())


@place
def iterating():
    for _ in take(thing("iterating"))[0]:
        pass


@place
def unpacking():
    first, second = thing("unpacking")
    return first, second


@place
def subscript():
    thing("subscript")[text("subscript")]


@place
def subscript_c():
    take(thing("subscript_c"), text("subscript_c"))[take(arrive(), wait())]


@place
def stored():
    thing("stored")[take(arrive(), wait())] = text("stored")


@place
def attribute():
    take(text("attribute"), thing("attribute").value)


@place
def compared():
    thing("compared") < text("compared")


@place
def added():
    thing("added") + text("added")


@place
def contained():
    text("contained") in thing("contained")


@place
def displays():
    [thing("displays"), {text("displays"): take(arrive(), wait())}]


@place
def formatted():
    take(thing("formatted"), FORMAT % (text("formatted"), take(arrive(), wait())))


@place
def comprehension():
    [take(arrive(), wait()) for _ in take(take(thing("comprehension"), text("comprehension")))]


@place
def mapped():
    list(map(lambda one: take(arrive(), wait()), take(take(thing("mapped"), text("mapped")))))


@place
def within():
    with thing("within"):
        take(text("within"), arrive(), wait())


@place
def handled():
    try:
        raise ValueError(thing("handled"))
    except ValueError:
        take(text("handled"), arrive(), wait())


@place
def returned():
    try:
        return take(thing("returned"), text("returned"))
    finally:
        take(arrive(), wait())


@place
def returned_from_loop():
    for _ in (text("returned_from_loop"),):
        _ = None
        try:
            return thing("returned_from_loop")
        finally:
            take(arrive(), wait())


@place
def raised_through():
    try:
        raise ValueError(thing("raised_through"))
    finally:
        take(text("raised_through"), arrive(), wait())


@place
def outer():
    take(thing("outer"), text("outer"), inner())


def inner():
    return take(thing("inner"), text("inner"), arrive(), wait())


@place
def condition():
    take(thing("condition"), text("condition") if gate else None, gate and take(arrive(), wait()))


# Arguments of instructions that do not fit into a byte, and a jump that does not.
LONG = """
@place
def long_arguments():
    take(thing("long_arguments"), [%s] if gate else None, text("long_arguments"), [%s, arrive(), wait()])
""" % (", ".join("gate and %d" % n for n in range(1000, 1400)), ", ".join("gate" for _ in range(300)))
exec(LONG)


@place
def generating():
    for _ in running():
        pass


def running():
    yield take(thing("running"), text("running"), arrive(), wait())


@place
def coroutine():
    awaiting().send(None)


async def awaiting():
    async with thing("awaiting"):
        take(text("awaiting"), arrive(), wait())


@place
def awaited():
    waiting_for().send(None)


async def waiting_for():
    await thing("waiting_for")


@place
def class_body():
    class Made(*take(Thing)):
        made = take(thing("class_body"), text("class_body"), arrive(), wait())


# An argument of a call that is over is being freed. Whether those beside it are off the stack already depends on the
# release: what is kept is alive in any case.
@place
def freed_in_call():
    take_nothing(thing("freed_in_call", Closing), thing("beside_freed"), KEPT[0])


def take_nothing(*values):
    del values


@place
def freed_first():
    operator.is_(thing("freed_first", Closing), KEPT[1])


@place
def freed_last():
    operator.is_(KEPT[2], thing("freed_last", Closing))


@place
def after_a_call():
    # What the calls before have left above the stack is of no use any more.
    take(thing("gone"), text("gone"), KEPT[3])
    take(take(thing("gone_too"), KEPT[3]), 1)
    arrive()
    wait()


@place
def traced():
    sys.settrace(tracer)
    being_traced()


def tracer(frame, event, argument):
    return tracer if frame.f_code is being_traced.__code__ else None


def being_traced():
    here = 1
    take(thing("traced"), text("traced"),
         arrive(), wait())
    return here


def suspended():
    take(thing("suspended"), text("suspended"), (yield))


generator = suspended()
next(generator)


def references(one):
    return sys.getrefcount(one)


def unheld():
    """What the counting of an object adds that nothing else holds."""
    one = Thing()
    return references(one)


BASE = unheld()


def tell():
    told = {}
    for name, ref in WEAK:
        one = ref()
        if one is not None:
            told[name] = [hex(id(one)), references(one) - BASE]
        del one
    for name, address in TEXTS.items():
        if name != "gone":
            one = _ctypes.PyObj_FromPtr(address)
            told["text of " + name] = [hex(address), references(one) - BASE]
            assert one == ("text of " + name).encode(), (name, one)
            del one
    for nth in range(len(KEPT)):
        one = KEPT[nth]
        told["kept %d" % nth] = [hex(id(one)), references(one) - BASE]
    return (json.dumps(told) + "\n").encode()


threading.stack_size(256 * 1024)
for function in places:
    threading.Thread(target=function, daemon=True).start()
for function in places:
    arrived.acquire()
_truth.hold({"p": tell})
