# Exceptions of every C layout, with the tracebacks and frames that they keep.
#
#   exception -> args, __dict__, __traceback__ -> frame -> locals, f_back ... ; __context__, __cause__, __notes__
import sys

import _truth


class Extra(Exception):
    def __init__(self, *args):
        self.extra = args


class Nothing:
    pass


def caught(action, *args):
    held = ["local of caught"]
    try:
        action(*args)
    except BaseException as error:
        return error


def recurse(n):
    local = [n]
    if n == 0:
        raise RecursionError(local)
    recurse(n - 1)


def cause():
    try:
        {}["key"]
    except KeyError as error:
        raise ValueError("v") from error


def context():
    try:
        1 / 0
    except ZeroDivisionError:
        raise TypeError("t")


def suppressed():
    try:
        1 / 0
    except ZeroDivisionError:
        raise TypeError("t") from None


def throw(error):
    raise error


def in_generator():
    def generate():
        mine = ["in generator"]
        yield 1
        raise OSError(5, "io", "name")
    for _ in generate():
        pass


def unbound():
    if not sys:
        value = 1
    return value


def stop():
    def generate():
        return [1]
        yield
    next(generate())


def frame_with_locals():
    a, b = [1], {"b": 2}
    locals()
    return sys._getframe()


frames = [frame_with_locals() for _ in range(3)]
frames[0].clear()
attribute = caught(lambda: Nothing().missing)
zoo = [
    caught(lambda: 1 / 0), caught(recurse, 30), caught(cause), caught(context), caught(suppressed),
    caught(in_generator), caught(unbound), caught(stop), attribute, frames,
    caught(lambda: open("/nonexistent")), caught(lambda: undefined_name), caught(lambda: __import__("nope.nope")),
    caught(lambda: compile("x=", "f", "exec")), caught(lambda: compile("  x\n y", "f", "exec")),
    caught(lambda: b"\xff".decode("utf8")), caught(lambda: "\u1234".encode("ascii")), caught(lambda: next(iter([]))),
    caught(lambda: (_ for _ in ()).throw(Extra(1, [2]))), caught(lambda: sys.exit(3)), caught(lambda: [][1]),
    caught(throw, UnicodeTranslateError("x", 0, 1, "reason")), caught(throw, MemoryError()),
    caught(throw, BlockingIOError(11, "again", 5)), caught(throw, StopAsyncIteration([1])),
    caught(throw, ImportError("m", name="n", path=["p"])), caught(throw, GeneratorExit()),
    OSError(2, "no", "a", None, "b"), OSError(), SyntaxError("msg", ("file", 1, 2, "text")), SystemExit([1]), Exception(),
    ValueError("no traceback", [1]), KeyboardInterrupt(), Warning([1]),
]
if sys.version_info >= (3, 11):
    names = {}
    exec("group = ExceptionGroup('g', [ValueError(1), ExceptionGroup('h', [TypeError([2])])])\n"
         "noted = ValueError('n')\nnoted.add_note('a note')\n"
         "try:\n    raise group\nexcept* ValueError as e:\n    pass\nexcept* TypeError as e:\n    kept = e\n", names)
    zoo.append(names)
itself = ValueError("cycle")
itself.me = itself
other = caught(throw, itself)
zoo += [itself, other]
_truth.hold()
