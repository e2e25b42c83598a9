#!/usr/bin/env python3
"""How far pprofd and llvm-symbolizer agree about names, inlined calls and lines.

Builds a corpus (corpus.py), draws random addresses of its code, asks both, and
writes a page with the figures and an explanation of every kind of difference.
Exit status 1 when the agreement over all is below --at-least. Linker stubs,
which llvm-symbolizer does not know, are counted apart.
"""

import argparse
import concurrent.futures
import pathlib
import shutil
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import answers
import compare
import corpus
import page


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pprofd", required=True, type=pathlib.Path,
                        help="the daemon; with its -g also a part of the corpus")
    parser.add_argument("--build", required=True, type=pathlib.Path,
                        help="folder for the corpus; kept for the next run")
    parser.add_argument("--out", type=pathlib.Path, help="page to be written")
    parser.add_argument("--addresses", type=int, default=110_000,
                        help="to be drawn, the same number from each binary")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="names of binaries, a,b,c")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--llvm", default="llvm-symbolizer-14")
    parser.add_argument("--rustc", default=shutil.which("rustc") or "rustc")
    parser.add_argument("--go", default=shutil.which("go") or "/usr/lib/go-1.19/bin/go")
    parser.add_argument("--at-least", type=float, default=99.5, metavar="%")
    parser.add_argument("--show", type=int, default=0, metavar="N",
                        help="print up to N examples of each kind")
    return parser.parse_args()


def compare_binary(arguments, binary, count):
    addresses = answers.draw(binary.path, count, arguments.seed)
    ours = answers.ask_pprofd(arguments.pprofd, binary.path, addresses)
    theirs = answers.ask_llvm(arguments.llvm, binary.reference or binary.path,
                              addresses)
    return compare.Comparison(binary, addresses, ours, theirs)


def print_comparison(found, examples):
    percent = page.percent(found.agreeing, found.answered - found.stubs)
    kinds = ", ".join(f"{kind} {n}" for kind, n in found.counts.most_common())
    print(f"{found.binary.name:16} {found.count:6} addresses, agree {percent} "
          f"% ({page.percent(found.same, found.answered)} % word for word): "
          f"{kinds}", flush=True)
    for kind, kept in found.examples.items():
        for address, ours, theirs in kept[:examples]:
            mine, other = compare.differing_frames(ours, theirs)
            print(f"    {kind} {address:#x}: {compare.shown(mine)}\n"
                  f"      llvm-symbolizer: {compare.shown(other)}")


def main():
    arguments = parse_arguments()
    arguments.pprofd = arguments.pprofd.resolve()
    binaries, missing = corpus.build(
        arguments.build.resolve(), arguments.jobs, arguments.rustc,
        arguments.go, arguments.pprofd)
    for sentence in missing:
        print(f"left out: {sentence}", file=sys.stderr)
    if arguments.only:
        wanted = arguments.only.split(",")
        binaries = [b for b in binaries if b.name in wanted]
    count = -(-arguments.addresses // len(binaries))
    comparisons = []
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        for found in pool.map(
                lambda b: compare_binary(arguments, b, count), binaries):
            print_comparison(found, arguments.show)
            comparisons.append(found)
    total = page.Total(comparisons)
    print("\n".join(total.sentences()))
    if arguments.out:
        arguments.out.write_text(
            page.write(arguments, comparisons, total, missing))
    return 0 if total.agreement >= arguments.at_least else 1


if __name__ == "__main__":
    sys.exit(main())
