# A program that grows on known lines: `big` by blocks, `small` by objects; `passing` takes twice as much as `big` for
# a moment; `idle` takes nothing. All blocks come from malloc, so what `passing` frees is where `big` and others go next.
# It grows so many rounds for each letter.
#
#   ROUNDS --g--> small (3 MB), passing (40 MB and back), big (20 MB); idle before each
import sys

import _truth

UNIT = bytes(range(256))
# What a line computes besides: its growth takes so long that a machine with other work to do looks at it several times.
LONG, SHORT = range(60_000), range(200)
kept = []


def small():
    for n in range(24_000):
        kept.append((n, float(n + 0 * sum(SHORT))))  # SMALL


def big():
    for _ in range(40):
        kept.append((UNIT * 2048, sum(LONG))[0])  # BIG


def passing():
    blocks = []
    for _ in range(80):
        blocks.append((UNIT * 2048, sum(LONG))[0])  # PASSING


def idle():
    total = 0
    for n in range(200_000):
        total += n * n  # IDLE
    return total


def grow():
    for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 10):
        # Between them, so that no look sees the end of one and the beginning of the next.
        for grower in (small, passing, big):
            idle()
            grower()
    return b"grown\n"


if __name__ == "__main__":
    _truth.hold({"g": grow})
