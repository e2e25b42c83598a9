"""Compares two answers for an address and says what kind of difference it is.

A kind is either one of wording (both tools mean the same function and the same
line) or a difference. docs/symbol-agreement.md explains each.
"""

import bisect
import collections
import itertools
import re
import subprocess

import answers

# In the order of the page: (title, what it means).
WORDING = {
    "scope": (
        "Names of functions without linkage name",
        "Functions that no other unit can see (anonymous namespaces, lambdas, "
        "local types) have no linkage name in what GCC writes. llvm-symbolizer "
        "prints `DW_AT_name` alone (`FormatLine`); pprofd puts the scopes "
        "around the declaration before it "
        "(`pprofd::(anonymous namespace)::FormatLine`), which is how the "
        "function is written and where it stands."),
    "clone": (
        "Copies and parts of functions",
        "`f.isra.0`, `f.part.0`, `f.constprop.0`, `f.cold`, `f.lto_priv.0`, "
        "`f.resume`, Go's `f.abi0`: llvm-symbolizer shows the symbol, pprofd "
        "the function that DWARF says the code is of, so that a profile shows "
        "it once. "
        "Without DWARF, pprofd's `system_name` has the suffix, too."),
    "variant": (
        "Constructors and destructors",
        "The base and the complete constructor (`C2`, `C1`) or destructor are "
        "often one code with two symbols. They read alike once demangled. "
        "pprofd takes what DWARF names, or of two symbols the first in the "
        "alphabet; llvm-symbolizer takes the last symbol."),
    "alias": (
        "Several names for one code",
        "Aliases, versioned symbols, indirect functions, and functions that "
        "the compiler folded because they are identical. pprofd takes the "
        "name DWARF gives the code; without DWARF the best symbol by the rules "
        "of symbol_table.h. llvm-symbolizer always takes the last symbol of "
        "that address."),
    "folder": (
        "Relative compilation folders",
        "Debian compiles parts of libc with the relative folder `./inet`; "
        "llvm-symbolizer 14 puts it before names twice "
        "(`inet/inet/getnameinfo.c`). llvm-symbolizer 19 prints what pprofd "
        "does."),
    "object": (
        "File names from the symbol table",
        "For code without DWARF, llvm-symbolizer shows the name of the "
        "`STT_FILE` symbol before a local symbol, without folder or line: "
        "`crtstuff.c`, or `cpuinfo.o` where a linker has merged objects. "
        "pprofd takes file names from debug information only."),
}
DIFFERENCES = {
    "stub": (
        "Stubs of the PLT",
        "pprofd names the function that the stub jumps to, `f@plt`; "
        "llvm-symbolizer says nothing, or takes `_init`, a symbol without size "
        "in the section before."),
    "debug symbols": (
        "Symbols of a separate debug file",
        "Code that DWARF names no function for in a stripped library "
        "(`__multf3` of libgcc in libc): pprofd reads the symbols of the debug "
        "file, too; llvm-symbolizer those of the library alone."),
    "declared file": (
        "Code without a line",
        "Where no row of the line table covers an address pprofd shows the "
        "file of the function's declaration, without a line; llvm-symbolizer "
        "none."),
    "split": (
        "Inlined calls in split units",
        "llvm-symbolizer 14 loses the inlined calls of C units in split "
        "DWARF: it finds them in the same program in one piece, as pprofd "
        "does in both."),
    "only pprofd": (
        "pprofd alone has an answer", ""),
    "only llvm": (
        "llvm-symbolizer alone has an answer",
        "The first entry of a PLT, which all others jump to, has no name: "
        "llvm-symbolizer takes a symbol without size in the section before."),
    "chain": (
        "Different inlined calls", ""),
    "name": (
        "Different functions", ""),
    "file": (
        "Different files", ""),
    "line": (
        "Different lines", ""),
    "column": (
        "Different columns", ""),
}
STUB_BYTES = 16
CLONE = re.compile(r"\.(isra|part|constprop|cold|lto_priv|localalias|resume|"
                   r"destroy|cleanup|llvm|abi0|abiinternal|\d)\b.*$")
VARIANT = re.compile(r"(C|D)[0-4](?=[EIB])|(CI)[0-4]")
SYMBOL = re.compile(r"^\s*\d+:\s+([0-9a-f]+)\s+\S+\s+(\w+)\s+\w+\s+\w+\s+"
                    r"(?:\[.*\]\s+)?(\w+)\s+(\S+)")


def debug_file(path):
    """The separate debug file of a library, or None."""
    notes = subprocess.run(["readelf", "-n", path], text=True,
                           capture_output=True).stdout
    match = re.search(r"Build ID: ([0-9a-f]+)", notes)
    if not match:
        return None
    build_id = match[1]
    found = f"/usr/lib/debug/.build-id/{build_id[:2]}/{build_id[2:]}.debug"
    return found if subprocess.run(["test", "-e", found]).returncode == 0 \
        else None


class Symbols:
    """Names of code by the address they start at."""

    def __init__(self, path):
        self.names = collections.defaultdict(set)
        for file in filter(None, (path, debug_file(path))):
            listed = subprocess.run(["readelf", "-sW", file], text=True,
                                    capture_output=True).stdout
            for line in listed.splitlines():
                match = SYMBOL.match(line)
                if match and match[2] in ("FUNC", "IFUNC", "NOTYPE") and \
                        match[3] != "UND":
                    self.names[int(match[1], 16)].add(match[4])
        self.starts = sorted(self.names)

    def around(self, address):
        """Names of the symbol at or before the address."""
        i = bisect.bisect_right(self.starts, address)
        return self.names[self.starts[i - 1]] if i else set()

    def has(self, address, name):
        plain = re.sub(r"@@?.*", "", name)
        return any(plain == re.sub(r"@@?.*", "", other)
                   for other in self.around(address))


def name_kind(ours, theirs, is_function, address, symbols, opinion):
    """"" for the same name, a kind of WORDING, or "name"."""
    if ours == theirs:
        return ""
    if theirs and ours.endswith("::" + theirs):
        return "scope"
    if ours.endswith("@plt"):
        return "stub"
    if not is_function or not ours:
        return "name"
    if not theirs:
        return "debug symbols" if symbols.has(address, ours) else "name"
    whole = CLONE.sub("", theirs)
    if whole == ours or ours.endswith("::" + whole):
        return "clone"
    if VARIANT.sub(r"\1\2", whole) == VARIANT.sub(r"\1\2", CLONE.sub("", ours)):
        return "variant"
    if symbols.has(address, theirs) and \
            (symbols.has(address, ours) or opinion(address) == ours or
             opinion(address) == ours.rpartition("::")[2]):
        return "alias"
    return "name"


def objdump_stubs(path):
    """Names of linker stubs by address, as objdump -d has them."""
    listed = subprocess.run(["objdump", "-d", "-w", "--no-show-raw-insn", "-j",
                             ".plt", "-j", ".plt.got", "-j", ".plt.sec", path],
                            text=True, capture_output=True).stdout
    return {int(start, 16): name for start, name in
            re.findall(r"^([0-9a-f]+) <(\S+@plt)>:$", listed, re.MULTILINE)}


def place_kind(ours, theirs):
    if ours.file != theirs.file:
        if not ours.file and not theirs.line and "/" not in theirs.file:
            return "object"
        if ours.file and not ours.line and not theirs.file:
            return "declared file"
        first = ours.file.split("/")[0]
        if ours.line == theirs.line and not ours.file.startswith("/") and \
                theirs.file == f"{first}/{ours.file}":
            return "folder"
        return "file"
    if ours.line != theirs.line:
        return "line"
    if ours.column and theirs.column and ours.column != theirs.column:
        return "column"
    return ""


def kinds(address, ours, theirs, symbols, opinion, is_split):
    """The set of kinds of an address; empty: the answers are the same."""
    if not theirs:
        if not ours:
            return set()
        if ours[-1].name.endswith("@plt"):
            return {"stub"}
        if len(ours) == 1 and not ours[0].file and \
                symbols.has(address, ours[0].name):
            return {"debug symbols"}
        return {"only pprofd"}
    if not ours:
        return {"only llvm"}
    if len(ours) != len(theirs):
        return {"split" if is_split and len(theirs) == 1 else "chain"}
    found = set()
    for i, (mine, other) in enumerate(zip(ours, theirs)):
        found.add(name_kind(mine.name, other.name, i == len(ours) - 1, address,
                            symbols, opinion))
        if "stub" not in found:
            found.add(place_kind(mine, other))
    return found - {""}


class Comparison:
    """What two tools said about the addresses of one binary."""

    def __init__(self, binary, addresses, ours, theirs):
        self.binary = binary
        self.counts = collections.Counter()  # of kinds
        self.examples = {}
        self.functions = {}  # by kind, how often which was differed about
        self.count = len(addresses)
        self.silent = self.same = self.agreeing = 0
        symbols = Symbols(binary.path)
        second = {}

        def opinion(address):
            if address not in second:
                chain = answers.ask_addr2line(binary.path, [address])[0]
                second[address] = chain[-1].name if chain else ""
            return second[address]

        is_split = "split" in binary.name
        self.stubs = self.confirmed_stubs = 0
        stubs = objdump_stubs(binary.path)
        for address, mine, other in zip(addresses, ours, theirs):
            if not mine and not other:
                self.silent += 1
                continue
            found = kinds(address, mine, other, symbols, opinion, is_split)
            self.same += not found
            self.agreeing += not found - set(WORDING)
            if "stub" in found:
                self.stubs += 1
                known = stubs.get(address // STUB_BYTES * STUB_BYTES,
                                  stubs.get(address // 8 * 8))
                self.confirmed_stubs += mine[-1].name == known
            self.counts.update(found)
            name = (mine or other)[-1].name or "??"
            for kind in found:
                self.functions.setdefault(
                    kind, collections.Counter())[name] += 1
                kept = self.examples.setdefault(kind, [])
                if len(kept) < 3:
                    kept.append((address, mine, other))

    @property
    def answered(self):
        return self.count - self.silent


def shown(chain):
    """A chain on one line, for examples."""
    if not chain:
        return "nothing"
    frames = [f"{frame.name or '??'} {frame.file or '??'}:{frame.line}:"
              f"{frame.column}" for frame in chain]
    return " < ".join(frames)


def differing_frames(ours, theirs):
    """The first frames that differ, or the whole chains."""
    for mine, other in itertools.zip_longest(ours, theirs):
        if mine != other and len(ours) == len(theirs):
            return [mine], [other]
    return ours, theirs
