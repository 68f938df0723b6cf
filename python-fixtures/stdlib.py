# Objects of the C types of the standard library, one or more of each.
#
#   each entry of zoo is a list that one function made; what a build lacks is named in `lacking`
import collections
import io
import os
import sys

import _truth


def times():
    import datetime
    import time
    utc, hour = datetime.timezone.utc, datetime.timezone(datetime.timedelta(hours=1), "x")
    return [datetime.datetime(2020, 1, 2, 3), datetime.date(2020, 1, 2), datetime.time(1), datetime.timedelta(1), utc, hour,
            datetime.datetime(2020, 1, 2, tzinfo=utc), datetime.time(1, tzinfo=hour), time.localtime(0),
            datetime.timezone(datetime.timedelta(minutes=5)), datetime.datetime(2020, 1, 2).isocalendar()]


def zones():
    import zoneinfo
    return [zoneinfo.ZoneInfo.from_file(io.BytesIO(
        b"TZif" + b"\0" * 16 + b"\0\0\0\0" * 4 + b"\0\0\0\1" + b"\0\0\0\4" + b"\0\0\0\0\0\0UTC\0"), key="X")]


def regular_expressions():
    import re
    match = re.match(r"(a)(?P<n>b*)(c)?", "abbb")
    return [re.compile("x(y)"), match, re.compile("a").scanner("aaa"), re.compile(b"[a-z]+(?P<name>x)"), match.re,
            re.compile("(x)" * 50), re.match("(x)", bytearray(b"x").decode())]


def text():
    import csv
    import json
    import json.decoder
    import string
    import struct
    import unicodedata
    reader = csv.reader(io.StringIO("a,b\nc,d\n"))
    next(reader)
    return [reader, csv.writer(io.StringIO()), csv.DictReader(io.StringIO("a\n1")), json.encoder.JSONEncoder(),
            json.decoder.JSONDecoder(), json.encoder.c_make_encoder(
                {}, lambda o: o, json.encoder.encode_basestring_ascii, None, ":", ",", False, False, True),
            json.decoder.JSONDecoder().scan_once, string.Template("x"), string.Formatter(), struct.Struct("<iq"),
            struct.Struct("10s5i"), struct.iter_unpack("<i", b"12345678"), unicodedata.ucd_3_2_0]


def files():
    here = os.path.abspath(__file__)
    f = open(here)
    f.readline()
    b = open(here, "rb")
    b.read(3)
    bytes_io = io.BytesIO(b"abc" * 100)
    bytes_io.read(2)
    written = io.BytesIO()
    written.write(b"x" * 1000)
    view = written.getbuffer()
    string = io.StringIO("hey\u0151")
    string.read(1)
    accumulating = io.StringIO()
    accumulating.write("abc")
    accumulating.write("\u0151")
    r, w = os.pipe()
    closed = io.BytesIO(b"closed")
    closed.close()
    wrapper = io.TextIOWrapper(io.BytesIO(b"x\ny\n"), encoding="latin-1")
    wrapper.readline()
    wrapper.extra = [1]
    return [f, b, open(here, "rb", 0), bytes_io, io.BytesIO(), written, view, string, accumulating, io.StringIO(),
            io.BufferedRandom(io.BytesIO(b"1")), io.TextIOWrapper(io.BytesIO(b"x")), wrapper, closed,
            io.IncrementalNewlineDecoder(None, True), io.BufferedRWPair(open(r, "rb", 0), open(w, "wb", 0)),
            os.stat("/"), os.scandir("/"), next(os.scandir("/")), os.terminal_size((1, 2)), os.times()]


def threads():
    import contextvars
    import queue
    import threading
    local = threading.local()
    local.x = [1]
    variable = contextvars.ContextVar("variable", default=[1])
    token = variable.set([2])
    many = [contextvars.ContextVar("v%d" % i) for i in range(40)]
    for i, v in enumerate(many):
        v.set([i])
    context = contextvars.copy_context()
    simple = queue.SimpleQueue()
    for i in range(40):
        simple.put([i])
    simple.get()
    q = queue.Queue()
    q.put([1])
    rlock = threading.RLock()
    rlock.acquire()
    lock = threading.Lock()
    lock.acquire()
    return [lock, threading.Lock(), rlock, threading.RLock(), threading.Condition(), threading.Event(),
            threading.Semaphore(), local, threading.local(), threading.current_thread(), variable, token, many,
            context, contextvars.Context(), iter(context), context.items(), simple, queue.SimpleQueue(), q]


def asyncio_objects():
    import asyncio
    loop = asyncio.new_event_loop()
    pending, done, failed, cancelled = (loop.create_future() for _ in range(4))
    pending.add_done_callback(print)
    pending.add_done_callback(len)
    done.set_result([5])
    failed.set_exception(ValueError([1]))
    cancelled.cancel("message") if sys.version_info >= (3, 9) else cancelled.cancel()

    async def waiter(future):
        local = ["waiter"]
        return await future, local

    async def forever():
        await asyncio.Event().wait()

    tasks = [loop.create_task(waiter(pending)), loop.create_task(waiter(done)), loop.create_task(forever())]
    if sys.version_info >= (3, 8):
        tasks.append(loop.create_task(forever(), name="named"))
    loop.run_until_complete(asyncio.sleep(0))
    loop.run_until_complete(asyncio.sleep(0))
    attributed = loop.create_future()
    attributed.extra = [1] if hasattr(attributed, "__dict__") else None
    failed.exception()
    fresh = loop.create_task(waiter(pending))
    iterator = pending.__await__()
    next(iterator)
    asyncio.set_event_loop(None)
    return [loop, pending, done, failed, cancelled, tasks, fresh, iterator, attributed, asyncio.Queue, asyncio.Lock]


def compression():
    import bz2
    import hashlib
    import hmac
    import lzma
    import zlib
    compress, decompress = zlib.compressobj(), zlib.decompressobj(zdict=b"dictionary")
    half = zlib.decompressobj()
    half.decompress(zlib.compress(b"x" * 10000) + b"unused", 10)
    bz2_half = bz2.BZ2Decompressor()
    bz2_half.decompress(bz2.compress(b"x" * 100) + b"unused")
    lzma_half = lzma.LZMADecompressor()
    lzma_half.decompress(lzma.compress(b"x" * 100) + b"unused")
    out = [compress, decompress, half, bz2.BZ2Compressor(), bz2.BZ2Decompressor(), bz2_half, lzma.LZMACompressor(),
           lzma.LZMADecompressor(), lzma_half, hashlib.sha256(b"x"), hashlib.md5(), hashlib.sha3_256(), hashlib.blake2b(b"x"),
           hashlib.blake2s(), hmac.new(b"k", b"m", "sha256")]
    if sys.version_info >= (3, 14):
        import compression.zstd as zstd
        out += [zstd.ZstdCompressor(), zstd.ZstdDecompressor()]
    return out


def sockets():
    import select
    import selectors
    import socket
    pair = socket.socketpair()
    poll = select.poll()
    poll.register(pair[0])
    selector = selectors.DefaultSelector()
    selector.register(pair[0], selectors.EVENT_READ, ["data"])
    return [pair, poll, select.epoll(), selector, pair[0].makefile("rb")]


def tls():
    import ssl
    context = ssl.create_default_context()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.sni_callback = lambda *a: None
    return [context, server, incoming, context.wrap_bio(incoming, outgoing, server_hostname="x")]


def databases():
    import sqlite3
    connection = sqlite3.connect(":memory:")
    connection.execute("create table t(a, b)")
    connection.execute("insert into t values(1, 'x')")
    connection.execute("insert into t values(2, 'y')")
    connection.create_function("f", 1, lambda x: x)
    connection.set_trace_callback(None)
    cursor = connection.execute("select * from t")
    row = cursor.fetchone()
    connection.row_factory = sqlite3.Row
    named = connection.execute("select * from t")
    return [connection, cursor, row, named, named.fetchone(), connection.cursor()]


def pickles():
    import copyreg
    import pickle
    pickler, plain = pickle.Pickler(io.BytesIO()), pickle.Pickler(io.BytesIO(), protocol=2)
    pickler.dump([1, [2], {"a": (1, [2])}])
    unpickler = pickle.Unpickler(io.BytesIO(pickle.dumps([1, [2], {"a": [3]}])))
    unpickler.load()
    return [pickler, plain, unpickler, pickle.Unpickler(io.BytesIO()), pickle.PickleBuffer(b"abc"), pickler.memo,
            copyreg.dispatch_table]


def xml():
    import xml.etree.ElementTree as ElementTree
    import xml.parsers.expat
    root = ElementTree.fromstring('<a x="1">t<b y="2">u</b>v<c/>' + "<d/>" * 10 + "</a>")
    tree = root.iter()
    next(tree)
    expat = xml.parsers.expat.ParserCreate()
    expat.StartElementHandler = lambda *a: None
    return [root, tree, root.itertext(), ElementTree.XMLParser(), ElementTree.TreeBuilder(), ElementTree.Element("x"),
            ElementTree.Element("y", a="1"), expat, root[0].attrib]


def foreign():
    import ctypes

    class Point(ctypes.Structure):
        _fields_ = [("a", ctypes.c_int), ("p", ctypes.POINTER(ctypes.c_int))]

    class Bits(ctypes.Structure):
        _fields_ = [("x", ctypes.c_int, 3), ("y", ctypes.c_int, 5)]

    class Either(ctypes.Union):
        _fields_ = [("i", ctypes.c_int), ("d", ctypes.c_double)]

    class Nested(ctypes.Structure):
        _fields_ = [("one", Point), ("many", Point * 3)]

    number = ctypes.c_int(5)
    point = Point(1, ctypes.pointer(number))
    nested = Nested()
    nested.one = point
    buffer = ctypes.create_string_buffer(1000)
    callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(lambda x: x)
    library = ctypes.CDLL(None)
    function = library.strlen
    function.argtypes, function.restype = [ctypes.c_char_p], ctypes.c_size_t
    return [number, point, Bits(1, 2), Either(), nested, nested.many, nested.many[1], (ctypes.c_int * 10)(),
            ctypes.py_object([1]), ctypes.c_char_p(b"abc"), callback, ctypes.byref(number), ctypes.pointer(point), buffer,
            ctypes.cast(buffer, ctypes.c_void_p), Point.a, Nested.many, library, function, ctypes.pythonapi,
            Point.from_buffer(bytearray(64)), ctypes.c_wchar_p("x\u0151")]


def maps():
    import mmap
    import resource
    import tempfile
    anonymous = mmap.mmap(-1, 4096)
    named = tempfile.TemporaryFile()
    named.write(b"x" * 8192)
    named.flush()
    return [anonymous, named, mmap.mmap(named.fileno(), 0), resource.getrusage(0)]


def miscellaneous():
    import argparse
    import copy
    import contextlib
    import ipaddress
    import logging
    import operator
    import pathlib
    import random
    import symtable
    import uuid
    stack = contextlib.ExitStack()
    stack.callback(print, [1])
    logger = logging.getLogger("a.b")
    logger.addHandler(logging.NullHandler())
    return [random.Random(5), random.SystemRandom(), uuid.UUID(int=5), ipaddress.ip_address("1.2.3.4"),
            pathlib.PurePath("OUT/x"), stack, logger, argparse.ArgumentParser(), copy.copy(stack), operator.itemgetter(1),
            symtable.symtable("x = 1", "f", "exec"), sys.flags, sys.version_info, sys.float_info, sys.implementation,
            sys.hash_info, collections.namedtuple("N", "a b")(1, [2])]


def abstract_syntax():
    import ast
    import tokenize
    tree = ast.parse("def f(x, *y):\n    return [x + 1, y]\n")
    return [tree, ast.parse("x", mode="eval"), list(tokenize.tokenize(io.BytesIO(b"a = 1\n").readline))]


lacking, zoo = {}, []
for make in (times, zones, regular_expressions, text, files, threads, asyncio_objects, compression, sockets, tls, databases,
             pickles, xml, foreign, maps, miscellaneous, abstract_syntax):
    if len(sys.argv) > 1 and make.__name__ not in sys.argv[1:]:
        continue
    try:
        zoo.append([make.__name__, make()])
    except ImportError as error:
        lacking[make.__name__] = str(error)
if lacking:
    sys.stderr.write("lacking: %r\n" % (lacking,))
_truth.hold()
