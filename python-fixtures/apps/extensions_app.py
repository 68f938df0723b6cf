# Released C extensions that leak.
#
#   ujson 5.11.0           a str for each `dump` whose file cannot be written: its reference is forgotten
#   pyahocorasick 2.3.1    the nodes that were read when `Automaton` is given pickled data that is cut off: raw blocks
#
# The commands `r` and `m` leak 1000 times, references or memory, and answer with the growth of
# sys.getallocatedblocks().
import gc
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import _truth  # noqa: E402
import ahocorasick  # noqa: E402
import ujson  # noqa: E402

TIMES = 1000


class Full:
    def write(self, text):
        raise OSError("no space left")


full = Full()
automaton = ahocorasick.Automaton()
for word in range(5):
    automaton.add_word("word %d" % word, word)
automaton.make_automaton()
data = list(automaton.__reduce__()[1])
data[0] = [data[0][0][:-3]]


def reference(number):
    try:
        ujson.dump({"some key": "value %d" % number}, full)
    except OSError:
        pass


def memory(_):
    try:
        ahocorasick.Automaton(*data)
    except ValueError:
        pass


def leak(once):
    def answer():
        blocks = sys.getallocatedblocks()
        for number in range(TIMES):
            once(number)
        gc.collect()
        return b"%d\n" % (sys.getallocatedblocks() - blocks)
    return answer


commands = {"r": leak(reference), "m": leak(memory)}
for command in commands.values():
    command()
_truth.hold(commands)
