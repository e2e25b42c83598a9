#!/usr/bin/env python3
"""Checks that includes point down only, and libraries stay in their folders.

A folder may include itself and what stands before it; folders of one row never
include each other. See ARCHITECTURE.md.
"""

import pathlib
import re
import sys

# Knows everyone, its own row included.
TOP = {"daemon/pipeline", "daemon"}
ROWS = [
    {"bpf"},
    {"daemon/base"},
    {"daemon/model"},
    {"symbolizer"},
    {"daemon/collector", "daemon/process", "daemon/unwind", "daemon/aggregate",
     "daemon/debuginfod"},
    {"symbolizer/service"},
    {"daemon/symbolizer_client"},
    {"daemon/profile"},
    {"daemon/server"},
    TOP,
]
# Headers from outside -> the folders that may include them.
LIBRARIES = {
    r"bpf/(libbpf|bpf|btf)\.h|.*\.skel\.h": {"daemon/collector"} | TOP,
    r"(elfutils/(?!debuginfod).*|libelf|gelf|libdw|libdwfl|dwarf)(\.h)?":
        {"symbolizer", "daemon/unwind"},
    r"elfutils/debuginfod\.h": {"daemon/debuginfod"},
    r"Zydis/.*": {"symbolizer"},
    r"seccomp\.h": {"symbolizer/service"},
    r"linux/landlock\.h": {"symbolizer/service", "daemon/debuginfod"},
    r"boost/(asio|beast)[./].*": {"daemon/server"} | TOP,
}
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]')


def complaint(folder, quote, header):
    target = str(pathlib.PurePath(header).parent)
    row = {name: i for i, names in enumerate(ROWS) for name in names}
    if quote == '"' and target in row and target != folder:
        # Of bpf/, userspace sees only what both sides share.
        if target == "bpf" and header.endswith(".c"):
            return "the kernel half's sources are not for userspace"
        if row[target] >= row[folder] and folder not in TOP:
            return f"{folder} must not use {target}"
    for pattern, folders in LIBRARIES.items():
        if re.fullmatch(pattern, header) and folder not in folders:
            return "only " + ", ".join(sorted(folders)) + " may use it"
    return None


def main(root):
    failed = False
    for folder in (name for names in ROWS[1:] for name in names):
        for source in sorted((root / folder).glob("*.[ch]*")):
            lines = source.read_text(encoding="utf-8").splitlines()
            for number, line in enumerate(lines, 1):
                found = INCLUDE.match(line)
                reason = found and complaint(folder, *found.groups())
                if reason:
                    where = f"{source.relative_to(root)}:{number}"
                    print(f"{where}: {found.group(2)}: {reason}")
                    failed = True
    return failed


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(__file__).resolve().parent.parent))
