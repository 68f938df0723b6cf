# Modules: imported, made by hand, replaced, removed from sys.modules, with odd names and contents.
#
#   sys.modules -> {"made": module -> __dict__ -> {...}, "not_a_module": object, ...}
import importlib.util
import sys
import types

import _truth


class Subclass(types.ModuleType):
    @property
    def lazy(self):
        return [1]


def made(name, source):
    module = types.ModuleType(name, "doc of " + name)
    exec(source, module.__dict__)
    return module


registered = made("registered", "data = [[i] for i in range(10)]\ndef f(): return data\n")
sys.modules["registered"] = registered
sys.modules["not_a_module"] = {"in": ["sys.modules"]}
sys.modules["blocked"] = None
lonely = made("lonely", "mine = ['only here']\n")
removed = made("removed", "mine = ['removed']\n")
sys.modules["removed"] = removed
del sys.modules["removed"]
subclassed = Subclass("subclassed")
subclassed.attr = [1]
emptied = made("emptied", "x = [1]\n")
emptied.__dict__.clear()
unicode_name = made("m\xf6dul", "\u53d8 = [1]\n")
sys.modules["m\xf6dul"] = unicode_name
lazy = importlib.util.spec_from_loader("fromspec", loader=None)
from_spec = importlib.util.module_from_spec(lazy)
import binascii, collections.abc, email.message, html, math, os.path, textwrap, unicodedata  # noqa: E401,E402
_truth.hold()
