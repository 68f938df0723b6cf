"""A small web service that leaks: it remembers every session for ever.

It handles requests when a byte comes in on stdin, says so on stdout, and ends with its input.
"""
import sys
import collections


class Session(object):
    def __init__(self, number):
        self.user = "user-%d" % number
        self.history = ["page-%d-%d" % (number, page) for page in range(10)]


class SessionCache(object):
    """The culprit: nothing is ever removed."""

    def __init__(self):
        self.by_token = {}


class RecentRequests(object):
    """Healthy: only the last hundred are kept."""

    def __init__(self):
        self.last = collections.deque(maxlen=100)


cache = SessionCache()
recent = RecentRequests()
served = 0


def serve(requests):
    global served
    for _ in range(requests):
        served += 1
        cache.by_token["token-%d" % served] = Session(served)
        recent.last.append({"path": "/home", "number": served})


serve(1000)
print("ready")
sys.stdout.flush()
while sys.stdin.read(1):
    serve(5000)
    print("served")
    sys.stdout.flush()
