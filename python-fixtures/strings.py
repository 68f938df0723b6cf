# Strings and bytes: every representation.
#
#   str: ascii | latin-1 | UCS2 | UCS4, interned, with a cached UTF-8 form, with a cached wchar_t form (to 3.11)
import _ctypes
import sys

import _truth


class Data(_ctypes._SimpleCData):
    _type_ = "z"


class Object(_ctypes._SimpleCData):
    _type_ = "O"


def python_function(name, result):
    class Function(_ctypes.CFuncPtr):
        _flags_ = 1 | 4
        _restype_ = result
    return Function(_ctypes.dlsym(_ctypes.dlopen(None, 0), name))


as_utf8 = python_function("PyUnicode_AsUTF8", Data)


def with_utf8(text):
    as_utf8(Object(text))
    return text


def with_wide(text):
    """Up to 3.11 a string may carry a wchar_t copy of itself."""
    if sys.version_info < (3, 12):
        python_function("PyUnicode_AsUnicode", Data)(Object(text))
    return text


def made(*parts):
    return "".join(parts)


zoo = [
    ["", "a", "abc", "\xe9", "\xff", "\xe9" * 20, "\u0151" * 7, "\U0001F600" * 3, "x" * 1000],
    ["y" * n for n in (450, 455, 456, 463, 464, 471, 472, 511, 512, 513, 4096, 100000)],
    [made("\xe9", "l" * n) for n in (0, 1, 7, 8, 100, 1000)], [made("\u0151", "u" * n) for n in (0, 1, 7, 100, 1000)],
    [made("\U0001F600", "w" * n) for n in (0, 1, 7, 100, 1000)], [chr(i) for i in range(0, 300, 7)],
    [with_utf8(made(c, "utf8", str(i))) for i, c in enumerate("a\xe9\u0151\U0001F600")],
    [with_wide(made(c, "wide", str(i))) for i, c in enumerate("a\xe9\u0151\U0001F600")],
    [with_wide(with_utf8(made(c, "both", str(i)))) for i, c in enumerate("a\xe9\u0151\U0001F600")],
    [sys.intern(made("interned", str(i))) for i in range(10)], sys.intern(made("\u0151", "interned")),
    [made("duplicate ", "text") for _ in range(10)], [b"duplicate %d" % (i % 2) for i in range(10)],
    ["\ud800", made("\udfff", "x"), "a\x00b", "\x00"], [bytes([i]) for i in range(0, 256, 5)], [b"z" * 512, b"z" * 40000],
]
names = {}
exec("\u00e9t\u00e9 = [1]\n\u0151 = [2]\n\u53d8\u91cf = [3]\n"
     "class Kl\u00e4sse:\n    def m\u00e9thode(self): return self\n"
     "class \u53d8:\n    __slots__ = ('\u91cf',)\nx = \u53d8()\nx.\u91cf = [4]\n"
     "k = Kl\u00e4sse()\nk.\u0151 = [5]\n", names)
zoo.append(names)
_truth.hold()
