"""Reads what `pyheap export` wrote, as another tool would, and prints what it found as JSON.

    python read_export.py FOLDER

FOLDER has a file `heap.ENDING` for each format. Only the standard library is needed, and no code is shared with
pyheap: the formats are read by what their own documents say.
"""

import csv
import gzip
import json
import os
import re
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter


def heapsnapshot(path):
    """V8's format. Retained sizes by the dominators of Cooper, Harvey and Kennedy."""
    with open(path, encoding="utf-8") as file:
        document = json.load(file)
    head, strings = document["snapshot"], document["strings"]
    fields, types = head["meta"]["node_fields"], head["meta"]["node_types"][0]
    width, flat = len(fields), document["nodes"]
    rows = [dict(zip(fields, flat[at : at + width])) for at in range(0, len(flat), width)]
    assert len(rows) == head["node_count"]
    assert max(flat) < 1 << 32, "DevTools reads 32 bits"
    assert len({row["id"] for row in rows}) == len(rows), "an id is there twice"
    edge_types = head["meta"]["edge_types"][0]
    edges, at = [], 0
    for row in rows:
        targets = []
        for _ in range(row["edge_count"]):
            kind, name, to = document["edges"][at : at + 3]
            at += 3
            assert to % width == 0
            if edge_types[kind] not in ("element", "hidden"):
                strings[name]
            assert edge_types[kind] not in ("weak", "shortcut")
            targets.append(to // width)
        edges.append(targets)
    assert at == len(document["edges"]) == 3 * head["edge_count"]
    order, seen, stack = [], {0}, [(0, iter(edges[0]))]
    while stack:
        node, left = stack[-1]
        for to in left:
            if to not in seen:
                seen.add(to)
                stack.append((to, iter(edges[to])))
                break
        else:
            order.append(node)
            stack.pop()
    place = {node: number for number, node in enumerate(order)}
    before = [[] for _ in rows]
    for node, targets in enumerate(edges):
        for to in targets:
            before[to].append(node)
    above = {0: 0}
    changed = True
    while changed:
        changed = False
        for node in reversed(order[:-1]):
            new = None
            for one in before[node]:
                if one not in above:
                    continue
                if new is None:
                    new = one
                    continue
                other = one
                while new != other:
                    while place[new] < place[other]:
                        new = above[new]
                    while place[other] < place[new]:
                        other = above[other]
            if above.get(node) != new:
                above[node] = new
                changed = True
    retained = [row["self_size"] for row in rows]
    for node in order[:-1]:
        retained[above[node]] += retained[node]
    objects = [row for row in rows if row["id"] % 2 == 1]
    names = Counter()
    for row in objects:
        kind = types[row["type"]]
        own = {"closure": "builtins.function", "code": "builtins.code"}
        names[own.get(kind, strings[row["name"]])] += 1
    return {
        "objects": len(objects),
        "bytes": sum(row["self_size"] for row in rows),
        "unreachable": len(rows) - len(seen),
        "types": names,
        "retained": {str(row["id"]): size for row, size in zip(rows, retained)},
        "groups": [strings[rows[to]["name"]] for to in edges[0]],
    }


def fields_of(data):
    """The fields of a message of a protocol buffer: number, and the integer or the bytes."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
        elif key & 7 == 2:
            length = varint()
            yield key >> 3, data[at : at + length]
            at += length
        else:
            raise ValueError("wire type %d" % (key & 7))


def packed(data):
    """The integers of a packed field."""
    numbers, value, shift = [], 0, 0
    for byte in data:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            numbers.append(value)
            value = shift = 0
    return numbers


def pprof(path):
    """profile.proto of github.com/google/pprof."""
    with gzip.open(path) as file:
        fields = list(fields_of(file.read()))
    strings = [value.decode() for number, value in fields if number == 6]
    assert strings[0] == ""
    functions = {}
    for number, value in fields:
        if number == 5:
            function = dict(fields_of(value))
            functions[function[1]] = strings[function[2]]
    locations = {}
    for number, value in fields:
        if number == 4:
            location = dict(fields_of(value))
            locations[location[1]] = functions[dict(fields_of(location[4]))[1]]
    types = [strings[dict(fields_of(value))[1]] for number, value in fields if number == 1]
    sums, stacks = [0] * len(types), Counter()
    for number, value in fields:
        if number == 2:
            sample = dict(fields_of(value))
            values = packed(sample[2])
            sums = [one + other for one, other in zip(sums, values)]
            frames = [locations[location] for location in reversed(packed(sample[1]))]
            stacks[";".join(frames)] += values[-1]
    return {"sums": dict(zip(types, sums)), "stacks": stacks}


def folded(path):
    stacks = Counter()
    with open(path, encoding="utf-8") as file:
        for line in file:
            stack, size = line.rstrip("\n").rsplit(" ", 1)
            stacks[stack] += int(size)
    return stacks


def main(folder):
    def path(ending):
        return os.path.join(folder, "heap." + ending)

    profile, stacks = pprof(path("pb.gz")), folded(path("folded"))
    # A semicolon separates frames in the one format only.
    of_profile = Counter()
    for stack, size in profile["stacks"].items():
        if size:
            of_profile[stack] += size
    same = {s: n for s, n in of_profile.items() if s in stacks} if of_profile != stacks else None
    # Some functions are called <lambda>.
    svg = ElementTree.parse(path("svg")).getroot()
    titles = [title.text for title in svg.iter("{http://www.w3.org/2000/svg}title")]
    all_bytes = [re.match(r"all \(([\d,]+) bytes, 100%\)", title) for title in titles]
    csv.field_size_limit(1 << 30)
    with open(path("csv"), newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with open(path("jsonl"), encoding="utf-8") as file:
        assert json.loads(next(file)) == {"schema": 1, "command": "export"}
        lines = [json.loads(line) for line in file]
    for row, line in zip(rows, lines):
        assert row["address"] == line["address"] and row["type"] == line["type"]
        assert json.loads(row["referents"]) == line["referents"]
        assert json.loads(row["labels"]) == line["labels"]
        assert int(row["shallow_bytes"]) == line["shallow_bytes"]
    with open(path("dot"), encoding="utf-8") as file:
        boxes = len(re.findall(r"^  n\d+ \[", file.read(), re.MULTILINE))
    result = {
        "heapsnapshot": heapsnapshot(path("heapsnapshot")),
        "pprof": profile["sums"],
        "folded": sum(stacks.values()),
        "other_stacks": None if same is None else len(of_profile) - len(same),
        "svg": [int(match.group(1).replace(",", "")) for match in all_bytes if match],
        "csv": [len(rows), sum(int(row["shallow_bytes"]) + int(row["buffer_bytes"]) for row in rows)],
        "jsonl": [len(lines), sum(line["shallow_bytes"] + line["buffer_bytes"] for line in lines)],
        "boxes": boxes,
    }
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
