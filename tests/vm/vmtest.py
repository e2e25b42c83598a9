#!/usr/bin/env python3
"""Boots Debian kernels under qemu and profiles known programs on them.

Usage: vmtest.py [--build DIR] [--junit FILE] [KERNEL...]

KERNEL is one of 5.10, 6.1, 6.12, newest (default: 6.1). Needs no KVM, no
network in the guest and no change to this system. Prints one line per kernel,
PASS, FAIL or SKIP; consoles are kept in DIR/vm. Exit status 1 on any FAIL.
"""

import argparse
import pathlib
import shlex
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree

import initramfs
import judge
import kernels

HERE = pathlib.Path(__file__).resolve().parent
TARGETS = ("burn_pie", "burn_static")
BOOT_LIMIT_S = 420


def pack(build, output):
    directory = build / "tests" / "targets"
    daemon = build / "pprofd"
    targets = [directory / name for name in TARGETS]
    plugin = directory / "hop_plugin.so"
    environment = "PPROFD={}\nTARGETS={}\nPLUGIN={}\n".format(
        shlex.quote(str(daemon)),
        shlex.quote(" ".join(map(str, targets))),
        shlex.quote(str(plugin)))
    initramfs.build({"/init": HERE / "init",
                     "/bin/busybox": pathlib.Path("/bin/busybox"),
                     "/vmtest.env": environment.encode(),
                     str(plugin): plugin},
                    [daemon, daemon.with_name("pprofd-symbolizer"),
                     pathlib.Path("/bin/bash"), *targets], output)


def boot(image, initrd, console):
    """The guest's console; it is cut when the guest hangs."""
    # TCG: an unmodified kernel does not boot on every /dev/kvm. Without cx16:
    # qemu 7.2's emulation of cmpxchg16b can panic the guest.
    command = ["qemu-system-x86_64", "-machine", "q35,accel=tcg",
               "-cpu", "max,-cx16", "-smp", "2", "-m", "2048", "-nodefaults",
               "-nographic", "-serial", f"file:{console}", "-no-reboot",
               "-kernel", image, "-initrd", initrd,
               "-append", "console=ttyS0 quiet loglevel=1 panic=-1"]
    try:
        subprocess.run(command, stdin=subprocess.DEVNULL, timeout=BOOT_LIMIT_S,
                       check=False)
    except subprocess.TimeoutExpired:
        print(f"guest stopped after {BOOT_LIMIT_S} s")
    return pathlib.Path(console).read_text(encoding="utf-8", errors="replace")


def run_kernel(name, cache, initrd):
    """(PASS, FAIL or SKIP, text)."""
    try:
        release, image = kernels.fetch(name, cache)
    except kernels.Unavailable as reason:
        return "SKIP", f"{name}: {reason}"
    console = cache / f"console-{name}.txt"
    failures, findings = judge.judge(boot(image, initrd, console), TARGETS)
    if failures:
        return "FAIL", f"{release}: {'; '.join(failures)}; see {console}"
    return "PASS", f"{release}: {'; '.join(findings)}"


def write_junit(path, rows):
    suite = ElementTree.Element("testsuite", name="vm")
    for name, verdict, text, seconds in rows:
        case = ElementTree.SubElement(suite, "testcase", name=f"kernel {name}",
                                      time=f"{seconds:.1f}")
        if verdict != "PASS":
            tag = "failure" if verdict == "FAIL" else "skipped"
            ElementTree.SubElement(case, tag, message=text)
    ElementTree.ElementTree(suite).write(path)


def missing_tool():
    for tool in ("qemu-system-x86_64", "apt-get", "dpkg-deb", "busybox",
                 "bash"):
        if not shutil.which(tool):
            return tool
    return None


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default="build")
    parser.add_argument("--junit", type=pathlib.Path)
    parser.add_argument("kernel", nargs="*")
    options = parser.parse_args()
    unknown = set(options.kernel) - set(kernels.SUITES)
    if unknown:
        parser.error("unknown kernel: " + ", ".join(sorted(unknown)))
    cache = options.build.resolve() / "vm"
    cache.mkdir(exist_ok=True)
    initrd = cache / "initrd"
    tool = missing_tool()
    if not tool:
        pack(options.build.resolve(), initrd)

    rows = []
    for name in options.kernel or ["6.1"]:
        start = time.monotonic()
        verdict, text = ("SKIP", f"{name}: {tool} is not installed") if tool \
            else run_kernel(name, cache, initrd)
        rows.append((name, verdict, text, time.monotonic() - start))
        print(f"{verdict} {text}", flush=True)
    if options.junit:
        write_junit(options.junit, rows)
    return 1 if any(row[1] == "FAIL" for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
