#!/usr/bin/env python3
"""Runs clang-tidy over the sources of a build, several to a translation unit.

    cmake/tidy.py BUILD_DIR JOBS

Most of a run goes into the headers that all sources include. Sources of one
folder with the same flags are therefore checked as one; those that do not go
together (names of their own that are alike) in halves. Prints findings; exit
status 1 when there are any, or when clang-tidy did not come to its end.
"""
import concurrent.futures
import itertools
import json
import pathlib
import shlex
import subprocess
import sys

CLANG_TIDY = "clang-tidy-19"
TOGETHER = 16  # more would need memory, and leave workers idle at the end
# Of the compiler itself, such as a second definition.
DO_NOT_GO_TOGETHER = "[clang-diagnostic-"


def tidied_sources(root):
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-co",
         "--exclude-standard", "daemon/*.cc", "symbolizer/*.cc"],
        cwd=root, check=True, capture_output=True, text=True).stdout
    return {str(root / line) for line in listed.splitlines()
            if not line.endswith("_test.cc")}


def commands(build, sources):
    """[(flags, source)] of the build's compile commands, one per source."""
    found = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        source = entry["file"]
        if source in sources and source not in found:
            words = shlex.split(entry["command"])
            found[source] = tuple(words[1:words.index("-o")])
    return [(flags, source) for source, flags in sorted(found.items())]


def units(compiled):
    """[(flags, [source])]"""
    def kind(pair):
        return str(pathlib.Path(pair[1]).parent), pair[0]
    for (_, flags), group in itertools.groupby(sorted(compiled, key=kind),
                                               kind):
        group = [source for _, source in group]
        for i in range(0, len(group), TOGETHER):
            yield flags, group[i:i + TOGETHER]


def check(path, flags):
    done = subprocess.run(
        [CLANG_TIDY, "--quiet", str(path), "--", *flags], text=True,
        capture_output=True)
    if done.returncode == 0:
        return done.stdout  # stderr counts warnings of headers not ours
    return (f"{done.stdout}{done.stderr}"
            f"{path}: clang-tidy ended with status {done.returncode}\n")


def check_unit(name, flags, sources, folder):
    if len(sources) == 1:
        return check(sources[0], flags)
    together = folder / f"{name}.cc"
    together.write_text("".join(f'#include "{s}"  // NOLINT\n'
                                for s in sources))
    output = check(together, flags)
    if DO_NOT_GO_TOGETHER not in output:
        return output
    half = len(sources) // 2
    return (check_unit(f"{name}a", flags, sources[:half], folder) +
            check_unit(f"{name}b", flags, sources[half:], folder))


def main():
    build, jobs = pathlib.Path(sys.argv[1]).resolve(), int(sys.argv[2])
    root = pathlib.Path(__file__).resolve().parents[1]
    # Below the sources, so that their .clang-tidy holds.
    folder = root / "build" / "tidy"
    folder.mkdir(parents=True, exist_ok=True)
    compiled = commands(build, tidied_sources(root))
    if not compiled:
        sys.exit(f"{build} compiles none of the sources of {root}")
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        outputs = pool.map(
            lambda unit: check_unit(unit[0], *unit[1], folder),
            enumerate(units(compiled)))
    findings = "".join(outputs)
    print(findings, end="")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
