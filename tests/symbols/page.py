"""Writes docs/symbol-agreement.md."""

import collections
import re
import subprocess
import textwrap

import compare


def percent(part, whole):
    return f"{100 * part / whole:.2f}" if whole else "-"


class Total:
    """The figures over all binaries."""

    def __init__(self, comparisons):
        self.counts = collections.Counter()
        for found in comparisons:
            self.counts.update(found.counts)
        self.addresses = sum(found.count for found in comparisons)
        self.answered = sum(found.answered for found in comparisons)
        self.silent = self.addresses - self.answered
        self.same = sum(found.same for found in comparisons)
        self.agreeing = sum(found.agreeing for found in comparisons)
        self.binaries = len(comparisons)
        self.stubs = sum(found.stubs for found in comparisons)
        self.confirmed_stubs = sum(found.confirmed_stubs
                                   for found in comparisons)

    @property
    def agreement(self):
        """In percent, of the code that compilers have made."""
        compiled = self.answered - self.stubs
        return 100 * self.agreeing / compiled if compiled else 0

    def sentences(self):
        everything = percent(self.agreeing + self.silent, self.addresses)
        return [
            f"{self.addresses:,} addresses of {self.binaries} binaries: "
            f"agreement {self.agreement:.2f} %, linker stubs left aside; "
            f"{percent(self.agreeing, self.answered)} % with them.",
            f"{percent(self.same, self.answered)} % are the same word for "
            f"word. Counting the {self.silent:,} addresses about which both "
            f"say nothing, too, {everything} % agree."]


def wrapped(text):
    return textwrap.fill(text, 80, break_long_words=False,
                         break_on_hyphens=False)


def version(command):
    done = subprocess.run(command, text=True, capture_output=True)
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    for line in lines:
        if re.search(r"\d+\.\d+", line):
            return line
    return "unknown"


def versions(arguments):
    tools = {
        "llvm-symbolizer": [arguments.llvm, "--version"],
        "addr2line": ["addr2line", "--version"],
        "gcc": ["g++-12", "--version"],
        "clang": ["clang++-19", "--version"],
        "rustc": [arguments.rustc, "--version"],
        "go": [arguments.go, "version"],
        "dwz": ["dwz", "--version"],
    }
    return "\n".join(f"- {name}: {version(command)}"
                     for name, command in tools.items())


def table(comparisons, total):
    lines = ["| binary | | addresses | both silent | agree, % | with stubs, % "
             "| word for word, % |",
             "| --- | --- | ---: | ---: | ---: | ---: | ---: |"]
    for found in comparisons:
        compiled = found.answered - found.stubs
        lines.append(
            f"| {found.binary.name} | {found.binary.what} | {found.count:,} | "
            f"{found.silent:,} | {percent(found.agreeing, compiled)} | "
            f"{percent(found.agreeing, found.answered)} | "
            f"{percent(found.same, found.answered)} |")
    lines.append(f"| **all** | | {total.addresses:,} | {total.silent:,} | "
                 f"**{total.agreement:.2f}** | "
                 f"{percent(total.agreeing, total.answered)} | "
                 f"{percent(total.same, total.answered)} |")
    return "\n".join(lines)


def first_example(kind, comparisons):
    for found in comparisons:
        for address, ours, theirs in found.examples.get(kind, []):
            mine, other = compare.differing_frames(ours, theirs)
            texts = [re.sub(r" \S*/(?=[^/ ]+:\d)", " ",
                            compare.shown(chain).replace("`", "'"))
                     for chain in (mine, other)]
            return (f"In {found.binary.name} at `{address:#x}`:\n\n"
                    f"    pprofd           {texts[0]}\n"
                    f"    llvm-symbolizer  {texts[1]}\n")
    return ""


def functions_differed_about(kind, comparisons):
    """All functions of a kind of difference, as a list."""
    lines = [f"- {found.binary.name}: `{name}`, {count}"
             for found in comparisons
             for name, count in sorted(found.functions.get(kind, {}).items())]
    return "\n".join(lines) + "\n"


def section(kind, title, text, comparisons, total):
    count = total.counts[kind]
    where = [f"{found.binary.name} {found.counts[kind]:,}"
             for found in comparisons if found.counts[kind]]
    share = percent(count, total.answered)
    head = f"### {title}\n\n"
    noun = "address" if count == 1 else "addresses"
    body = f"{count:,} {noun}, {share} %: {', '.join(where)}."
    listed = ""
    if kind in compare.DIFFERENCES and kind != "stub":
        listed = "\nThe functions and how often they were met:\n\n" + \
            functions_differed_about(kind, comparisons)
    return head + wrapped(f"{body} {text}") + "\n\n" + \
        first_example(kind, comparisons) + listed + "\n"


def sections(kinds, comparisons, total):
    return "".join(section(kind, title, text, comparisons, total)
                   for kind, (title, text) in kinds.items()
                   if total.counts[kind])


INTRODUCTION = """\
# Agreement with llvm-symbolizer

What `make agreement` has found: random addresses of the code of many binaries,
asked of `pprofd symbolize` and of llvm-symbolizer. Compared are the whole
chains: every inlined call's function, file, line and, where both give one,
column. Addresses are drawn with a seed from all executable sections, the same
number from each binary: padding and linker stubs are among them, which no
profile ever shows.
"""

FIGURES = """\
The figures are shares of the addresses that at least one of the two says
something about. "Word for word" takes mangled names as texts. "Agree" looks
past differences of wording, all of which are listed below under that head, each
with what it takes to count as one; what is left is a difference, whoever is
right. An address may be counted in several kinds. Paths are compared without
`.` and `..`.
"""

RULES = """\
## Rules

Where sources contradict each other or more than one name fits, these decide.

- A function has the name that DWARF gives its code; symbols are asked when
  there is none, or no linkage name. So `f.cold` and `f.isra.0` are `f`, and an
  alias is named like the definition.
- Of several symbols with one address the best is taken: a function before an
  untyped one, one with a size before one without, global before weak before
  local, fewer leading underscores, the shorter, the first in the alphabet. An
  indirect function's symbol has the address of the code that chooses, and
  stands for that where it is the best.
- A symbol with a size covers exactly that. One without reaches to the next
  symbol of its section, but over nothing that a sized one covers. Of symbols
  that overlap, the later start wins.
- Bytes between two functions belong to neither. If the line table has a row
  for them, they have a file and a line and no function, as in llvm-symbolizer;
  profiles leave them unnamed.
- When two units claim the same code (the linker kept one of two copies of an
  inline function, and both units point to it), the first unit is believed.
- Of overlapping functions or calls in a unit, the deeper is taken, then the
  later.
- A line of a function is in the file of the line table. If there is no row, the
  file is that of the declaration, without a line. File names are never taken
  from the symbol table.
- Stubs are `f@plt`, after the symbol that they jump to.
"""


def write(arguments, comparisons, total, missing):
    parts = [
        INTRODUCTION,
        wrapped(f"**{total.sentences()[0]}** {total.sentences()[1]}"),
        FIGURES,
        table(comparisons, total),
        "Made with:\n\n" + versions(arguments) +
        f"\n- seed: {arguments.seed}",
    ]
    if missing:
        parts.append("Left out:\n\n" + "\n".join(f"- {m}" for m in missing))
    if total.stubs:
        parts.append(wrapped(
            f"Of the {total.stubs:,} addresses in linker stubs, objdump -d "
            f"names {total.confirmed_stubs:,} as pprofd does; llvm-symbolizer "
            f"knows nothing of stubs."))
    parts.append(wrapped(
        "llvm-symbolizer does not read the alternate files of `dwz -m`; for "
        "that binary it is asked about the same program before dwz."))
    parts.append(RULES)
    parts.append("## Differences of wording\n\n" +
                 sections(compare.WORDING, comparisons, total).rstrip())
    parts.append("## Differences\n\n" +
                 sections(compare.DIFFERENCES, comparisons, total).rstrip())
    return "\n\n".join(part.strip() for part in parts) + "\n"
