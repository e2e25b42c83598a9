#!/usr/bin/env python3
"""Measures pprofd beside its peers and writes what it found as a page.

Needs root, perf, bpftool and, for one of the peers, a Go toolchain.
"""
import argparse
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
SECTIONS = ("bpf", "daemon", "slowdown", "memory", "stacks", "symbolizer",
            "heap", "preload", "rss")
WITH_OTEL = {"slowdown", "stacks"}
WITHOUT_BENCH_PROGRAMS = {"heap", "preload", "rss"}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pprofd", type=pathlib.Path, required=True,
                        help="the daemon, in its build directory")
    parser.add_argument("--build", type=pathlib.Path,
                        help="another build directory, for the programs "
                        "that are measured with it")
    parser.add_argument("--out", type=pathlib.Path, required=True,
                        help="the page to be written")
    parser.add_argument("--rounds", type=int, default=5,
                        help="repetitions of what is compared")
    parser.add_argument("--only", default=",".join(SECTIONS),
                        help="some of " + ",".join(SECTIONS))
    arguments = parser.parse_args()
    arguments.only = arguments.only.split(",")
    if unknown := set(arguments.only) - set(SECTIONS):
        parser.error(f"--only: unknown {', '.join(sorted(unknown))}")
    return arguments


def build_programs(build, sections):
    wanted = ["targets"]
    if set(sections) - WITHOUT_BENCH_PROGRAMS:
        wanted.append("bench_programs")
    subprocess.run(["cmake", "--build", build, "--target", *wanted],
                   check=True, stdout=subprocess.DEVNULL)


def find_otel(build, directory, sections):
    """(binaries or None, why not)."""
    if not WITH_OTEL & set(sections):
        return None, "not asked for"
    import peers
    from waiting import TimedOut
    try:
        binaries = peers.build_otel(build / "otel")
        peers.check_otel(binaries, directory)
        return binaries, ""
    except (RuntimeError, OSError, TimedOut,
            subprocess.TimeoutExpired) as error:
        return None, str(error)


def measure(arguments, build, directory, otel):
    """The measurements in the order of the page."""
    import bpf_cost
    import completeness
    import daemon_cost
    import heap_cost
    import heap_preload
    import memory
    import peers
    import rss_cost
    import slowdown
    import symbolizing
    import target_process
    binaries = build / "tests" / "bench"
    targets = target_process.Targets(directory)
    done = []
    try:
        if "bpf" in arguments.only:
            pprofd = peers.Pprofd(directory).start_daemon()
            pprofd.wait_until_settled()
            try:
                found = bpf_cost.BpfCost(binaries, pprofd, targets)
                found.measure(arguments.rounds)
            finally:
                pprofd.stop_daemon()
            done.append(found)
        if "slowdown" in arguments.only:
            found = slowdown.Slowdown(binaries, directory, otel)
            found.measure(arguments.rounds)
            done.append(found)
        if "daemon" in arguments.only:
            found = daemon_cost.DaemonCost(directory, targets)
            found.measure(max(1, arguments.rounds // 2))
            done.append(found)
        if "memory" in arguments.only:
            found = memory.Memory(directory, targets)
            found.measure()
            done.append(found)
        if "stacks" in arguments.only:
            found = completeness.Completeness(directory, targets, otel)
            found.measure()
            done.append(found)
        if "symbolizer" in arguments.only:
            found = symbolizing.Symbolizing(binaries, directory,
                                            arguments.pprofd.resolve())
            found.measure(arguments.rounds)
            done.append(found)
        if "heap" in arguments.only:
            found = heap_cost.HeapCost(directory)
            found.measure(arguments.rounds)
            done.append(found)
        if "preload" in arguments.only:
            found = heap_preload.PreloadCost(directory)
            found.measure(arguments.rounds)
            done.append(found)
        if "rss" in arguments.only:
            found = rss_cost.RssCost(directory)
            found.measure(arguments.rounds)
            done.append(found)
    finally:
        targets.kill_all()
    return done


def describe_otel(missing):
    import peers
    version = re.search(re.escape(peers.OTEL_MODULE) + r" (v\S+)",
                        (peers.OTEL_SOURCE / "go.mod").read_text())
    return (f"missing: {missing}" if missing else
            f"{peers.OTEL_MODULE} {version.group(1)}, built from source "
            "without its raising of RLIMIT_MEMLOCK")


def introduction(machine, loads, command):
    rows = {**machine,
            "load": f"{loads[0]:.1f} when it began, {loads[1]:.1f} when it "
                    "ended (what is measured included)",
            "command": f"`{command}`"}
    return ("What `make bench` has measured. Figures of a loaded machine are "
            "too high, all tools' alike: compare ratios.\n\n"
            + "\n".join(f"- {what}: {value}" for what, value in rows.items()))


def main():
    arguments = parse_arguments()
    if os.geteuid() != 0:
        sys.exit("run.py: needs root")
    build = (arguments.build or arguments.pprofd.parent).resolve()
    os.environ["PPROFD_BUILD_DIR"] = str(build)
    os.environ["PPROFD_BINARY"] = str(arguments.pprofd.resolve())
    sys.path[:0] = [str(HERE), str(HERE.parent / "live")]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    from measuring import describe_machine, load
    from report import Page

    build_programs(build, arguments.only)
    machine = describe_machine()
    machine["daemon"] = "built " + time.strftime(
        "%Y-%m-%d %H:%M UTC", time.gmtime(arguments.pprofd.stat().st_mtime))
    loads = [load()]
    with tempfile.TemporaryDirectory() as directory:
        otel, otel_missing = find_otel(build, directory, arguments.only)
        machine["OTel profiler"] = describe_otel(otel_missing)
        print(f"OTel profiler: {machine['OTel profiler']}", flush=True)
        done = measure(arguments, build, pathlib.Path(directory), otel)
    loads.append(load())
    page = Page()
    for found in done:
        found.report(page)
    command = "tests/bench/run.py " + " ".join(sys.argv[1:])
    arguments.out.write_text(
        page.render("Benchmarks", introduction(machine, loads, command)),
        encoding="utf-8")
    print(page.verdict_table())


if __name__ == "__main__":
    main()
