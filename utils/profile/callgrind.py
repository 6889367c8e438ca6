# SPDX-License-Identifier: MIT
"""Reads what callgrind dumps: self costs by object, source file and function.

The grammar (Valgrind's manual, "Callgrind Format Specification"), as far as it is needed:

    events: Ir sysCount ...      the names of the costs
    ob= fl= fi= fe= fn=          where the following costs belong; fi and fe: a file inlined there
    calls=COUNT TARGET           the next line is the cost of the callee, already counted there
    LINE COST COST ...           self cost; LINE may be +n, -n or *

A name is given once as "(number) name" and then as "(number)"; ob, the files and the functions have
numbers of their own."""
import collections

# Self costs of one function in one source file: of an inlined piece that is the file it stands in.
Place = collections.namedtuple("Place", "object file function")


class Names:
    def __init__(self):
        self.names = {}

    def resolve(self, text):
        number, _, name = text.partition(" ")
        if not number.startswith("("):
            return text
        if name:
            self.names[number] = name
        return self.names[number]


def read(path):
    """{Place: {event: cost}} of one dump."""
    names = {"ob": Names(), "fl": Names(), "fn": Names()}
    kinds = {"ob": "ob", "cob": "ob", "fl": "fl", "fi": "fl", "fe": "fl", "cfi": "fl", "cfl": "fl",
             "fn": "fn", "cfn": "fn"}
    costs = collections.defaultdict(collections.Counter)
    events, total = [], None
    now = {"ob": "", "fl": "", "fn": ""}
    is_callee = False
    with open(path) as file:
        for line in file:
            line = line.rstrip("\n")
            key, equals, value = line.partition("=")
            if line[:1] in "0123456789+-*" and line:
                if not is_callee:
                    place = costs[Place(now["ob"], now["fl"], now["fn"])]
                    for event, cost in zip(events, line.split()[1:]):
                        place[event] += int(cost)
                is_callee = False
            elif equals and key in kinds:
                name = names[kinds[key]].resolve(value)
                if not key.startswith("c"):
                    now[kinds[key]] = name
            elif key == "calls":
                is_callee = True
            elif line.startswith("events:"):
                events = line.split()[1:]
            elif line.startswith("totals:"):
                total = int(line.split()[1])
    added = sum(cost[events[0]] for cost in costs.values())
    if added != total:
        raise ValueError(f"{path}: the costs add up to {added}, callgrind says {total}")
    return costs
