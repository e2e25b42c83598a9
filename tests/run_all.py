#!/usr/bin/env python3
"""Runs every part of the test suite and adds up what they report.

All parts run, also after a failure. The last line is
"N passed, N failed, N skipped"; exit status 1 when anything failed.
"""

import argparse
import os
import pathlib
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent


def parts(build, results, jobs, kernels):
    """(name, time limit in seconds, command, JUnit file it writes or None)."""
    pytest = ["/usr/bin/python3", "-m", "pytest", "-q", "-rs", "-p",
              "no:cacheprovider"]

    def part(name, limit_s, *command, report=None):
        return name, limit_s, [str(word) for word in command], report

    unit, judge, live, vm = (results / f"{name}.xml"
                             for name in ("unit", "judge", "live", "vm"))
    return [
        part("unit", 600, "ctest", "--test-dir", build, "-j", jobs,
             "--output-on-failure", "--output-junit", unit, report=unit),
        part("judge", 60, *pytest, f"--junitxml={judge}", ROOT / "tests/vm",
             report=judge),
        part("live", 900, *pytest, f"--junitxml={live}", ROOT / "tests/live",
             report=live),
        part("vm", 900, ROOT / "tests/vm/vmtest.py", "--build", build,
             "--junit", vm, *kernels, report=vm),
        part("lint", 900, ROOT / "cmake/lint.sh", build, jobs),
    ]


def run(command, limit_s):
    """Exit status of the command; it and its children end with the limit."""
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL,
                               start_new_session=True)
    try:
        return process.wait(limit_s)
    except subprocess.TimeoutExpired:
        print(f"stopped after {limit_s} s")
        os.killpg(process.pid, signal.SIGKILL)
        return process.wait()


def counts(report, status):
    """(passed, failed, skipped) of a part."""
    if report is None:
        return (0, 1, 0) if status else (1, 0, 0)
    passed = failed = skipped = 0
    try:
        cases = list(ElementTree.parse(report).iter("testcase"))
    except (OSError, ElementTree.ParseError):
        cases = []
    for case in cases:
        # ctest says what became of a case in an attribute, pytest in a child.
        said = {child.tag for child in case} | {case.get("status", "run")}
        if said & {"failure", "error", "fail"}:
            failed += 1
        elif said & {"skipped", "notrun", "disabled"}:
            skipped += 1
        else:
            passed += 1
    if status and not failed:
        failed = 1  # the part broke before it could report
    return passed, failed, skipped


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--kernels", default="6.1")
    options = parser.parse_args()
    build = options.build.resolve()
    results = build / "results"
    results.mkdir(exist_ok=True)
    os.environ["PPROFD_BUILD_DIR"] = str(build)

    totals = [0, 0, 0]
    lines = []
    for name, limit_s, command, report in parts(build, results, options.jobs,
                                                options.kernels.split()):
        print(f"==== {name}", flush=True)
        if report:
            report.unlink(missing_ok=True)
        start = time.monotonic()
        part = counts(report, run(command, limit_s))
        totals = [total + n for total, n in zip(totals, part)]
        lines.append("{:5} {:4} passed, {} failed, {} skipped, {:.0f} s".format(
            name, *part, time.monotonic() - start))
    print("====", *lines, sep="\n")
    print("{} passed, {} failed, {} skipped".format(*totals))
    return 1 if totals[1] else 0


if __name__ == "__main__":
    sys.exit(main())
