"""Asks pprofd and its peers for the names of addresses."""

import json
import os
import random
import re
import subprocess
from typing import NamedTuple

SECTION = re.compile(r"^\s*\[\s*\d+\]\s+(\S+)\s+PROGBITS\s+([0-9a-f]+)\s+"
                     r"[0-9a-f]+\s+([0-9a-f]+)\s+\S+\s+(\w*X\w*)\s")
PLACE = re.compile(r"^(.*?):(\d+)(?::(\d+))?$")
BATCH = 500  # addresses on a line of a question


class Frame(NamedTuple):
    """One call at an address; "" and 0: not known."""
    name: str
    file: str
    line: int
    column: int


def executable_sections(path):
    """[(name, start, size)] of a file."""
    listed = subprocess.run(["readelf", "-SW", path], check=True, text=True,
                            capture_output=True).stdout
    found = [SECTION.match(line) for line in listed.splitlines()]
    return [(m[1], int(m[2], 16), int(m[3], 16)) for m in found if m]


def draw(path, count, seed):
    """`count` different addresses in executable sections, in random order."""
    sections = executable_sections(path)
    total = sum(size for _, _, size in sections)
    picks = random.Random(seed).sample(range(total), min(count, total))
    addresses = []
    for pick in picks:
        for _, start, size in sections:
            if pick < size:
                addresses.append(start + pick)
                break
            pick -= size
    return addresses


def normal_path(path):
    """The path without `.` and `..`: tools differ in what they tidy up."""
    return os.path.normpath(path) if path else ""


def run(command, text):
    return subprocess.run(command, input=text, check=True, text=True,
                          capture_output=True, errors="replace").stdout


def parse_line(line):
    name, _, place = line.removeprefix(" (inlined by) ").rpartition(" at ")
    match = PLACE.match(place)
    file = "" if match[1] == "??" else normal_path(match[1])
    return Frame("" if name == "??" else name, file, int(match[2]),
                 int(match[3] or 0))


def without_nothing(chain):
    """A chain of one frame that says nothing is no chain."""
    is_nothing = len(chain) == 1 and not chain[0].name and not chain[0].file
    return [] if is_nothing else chain


def ask_pprofd(pprofd, path, addresses, demangle="none"):
    """A chain, innermost call first, for each address."""
    quoted = f'"{path}"'
    lines = [" ".join([quoted] + [f"{a:x}" for a in addresses[i:i + BATCH]])
             for i in range(0, len(addresses), BATCH)]
    out = run([pprofd, "symbolize", f"--demangle={demangle}"],
              "\n".join(lines) + "\n")
    blocks = out.removesuffix("\n\n").split("\n\n")
    chains = [without_nothing([parse_line(line) for line in block.split("\n")])
              for block in blocks]
    assert len(chains) == len(addresses), (len(chains), len(addresses))
    return chains


def ask_llvm(tool, path, addresses):
    """The same of llvm-symbolizer; names as in the file."""
    out = run([tool, "--output-style=JSON", "--no-demangle", f"--obj={path}"],
              "".join(f"0x{a:x}\n" for a in addresses))
    chains = []
    for line in out.splitlines():
        symbols = json.loads(line).get("Symbol", [])
        chains.append(without_nothing(
            [Frame(s["FunctionName"], normal_path(s["FileName"]), s["Line"],
                   s["Column"]) for s in symbols]))
    assert len(chains) == len(addresses), (len(chains), len(addresses))
    return chains


def ask_addr2line(path, addresses):
    """The same of binutils, which gives no columns."""
    out = run(["addr2line", "-a", "-f", "-i", "-e", path],
              "".join(f"{a:x}\n" for a in addresses))
    chains = []
    lines = iter(out.splitlines())
    for line in lines:
        if line.startswith("0x"):
            chains.append([])
            continue
        file, _, number = next(lines).rpartition(":")
        number = number.split(" ")[0]
        chains[-1].append(Frame("" if line == "??" else line,
                                "" if file == "??" else normal_path(file),
                                int(number) if number.isdigit() else 0, 0))
    return [without_nothing(chain) for chain in chains]
