# A loop like those of pyperformance: calls, attributes, dictionaries, texts, and a heap of some megabytes that changes.
# Prints how long so many rounds take, each time that it is asked; ends with its input.
import sys
import time


class Node:
    def __init__(self, key):
        self.key = key
        self.left = self.right = None

    def insert(self, key):
        node = self
        while True:
            side = "left" if key < node.key else "right"
            following = getattr(node, side)
            if following is None:
                setattr(node, side, Node(key))
                return
            node = following

    def depth(self):
        return 1 + max(side.depth() if side else 0 for side in (self.left, self.right))


def work(seed):
    root = Node(seed)
    for _ in range(4000):
        seed = (seed * 1103515245 + 12345) % 2**31
        root.insert(seed)
    words = {}
    for number in range(20000):
        words.setdefault("word%d" % (number % 997), []).append(number)
    total = sum(len(texts) for texts in words.values())
    return root.depth() + total + len(",".join(sorted(words)))


print("ready", flush=True)
for line in sys.stdin:
    begun = time.perf_counter()
    for seed in range(int(line)):
        work(seed)
    print(time.perf_counter() - begun, flush=True)
