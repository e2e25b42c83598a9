"""CPU that a profiler's own processes use for a sample, names included."""
import functools
import re

import peers
import programs
from measuring import log, median, process_cpu_ns

HZ = 999
SECONDS = 5
WARM = 2  # profiles after the first
TARGET_MS = 5.0
SAMPLE_LINE = re.compile(r"^\S", re.M)
HOST_PROGRAMS = ("burn_o3", "burn_rust", "burn_go", "burn_static_pie")


class DaemonCost:
    """`found` maps (tool, what) to [(ms per 1,000 samples, samples)]."""

    def __init__(self, directory, targets):
        self.directory = directory
        self.targets = targets
        self.found = {}
        self.start_ms = []

    def measure(self, rounds):
        for number in range(rounds):
            # Started anew, as they live for two minutes only.
            for tool in (self._measure_pprofd, *(
                    functools.partial(self._measure_perf, mode)
                    for mode in peers.PERF_MODES)):
                program = programs.start(self.targets, "burn_pie")
                tool("one program", [program.pid])
                for name in HOST_PROGRAMS:
                    programs.start(self.targets, name)
                tool("whole host", [])
                self.targets.kill_all()
            log(f"CPU of the profilers: round {number + 1} of {rounds}")

    def _add(self, tool, what, cpu_ns, samples):
        self.found.setdefault((tool, what), []).append(
            (cpu_ns / samples / 1e3, samples))

    def _measure_pprofd(self, what, pids):
        pprofd = peers.Pprofd(self.directory).start_daemon()
        try:
            pprofd.wait_until_settled()
            daemon = pprofd.daemon.pid
            self.start_ms.append(process_cpu_ns(daemon) / 1e6)
            for number in range(1 + WARM):
                before = pprofd.counters()["samples_read"]
                cpu_ns = process_cpu_ns(daemon)
                pprofd.client.profile(*pids, seconds=SECONDS, hz=HZ)
                cpu_ns = process_cpu_ns(daemon) - cpu_ns
                samples = pprofd.counters()["samples_read"] - before
                tool = "pprofd, " + ("later" if number else "first")
                self._add(tool, what, cpu_ns, samples)
        finally:
            pprofd.stop_daemon()

    def _measure_perf(self, mode, what, pids):
        perf = peers.Perf(mode, self.directory)
        perf.start(HZ, SECONDS, pids)
        record_ns = perf.stop()
        text, script_ns = perf.script("comm", "pid", "ip", "sym", "dso")
        samples = len(SAMPLE_LINE.findall(text))
        self._add(f"{mode}, record only", what, record_ns, samples)
        self._add(f"{mode}, record and script", what, record_ns + script_ns,
                  samples)

    def report(self, page):
        page.heading("CPU of the profiler for 1,000 samples")
        page.text(
            f"User and system time of all its processes in ms, names "
            f"included, over {SECONDS} s at {HZ} Hz; medians. \"First\" is the "
            "first profile that a fresh daemon is asked for: it reads the "
            "debug information. pprofd names inlined calls, files and lines; "
            "perf script does so without inlined calls. pprofd also spends "
            f"{median(self.start_ms):,.0f} ms when it starts, on the unwind "
            "tables of what runs then.")
        rows = []
        tools = dict.fromkeys(tool for tool, _ in self.found)
        for tool in tools:
            row = [tool]
            for what in ("one program", "whole host"):
                found = self.found[tool, what]
                row.append(f"{median([ms for ms, _ in found]):.1f} "
                           f"({median([n for _, n in found]):,.0f} samples)")
            rows.append(row)
        page.table(["profiler", "one C++ program", "whole host"], rows)
        for what in ("one program", "whole host"):
            for when in ("first", "later"):
                page.verdict(
                    f"ms CPU of pprofd per 1,000 samples, {what}, {when}",
                    median([ms for ms, _ in
                            self.found[f"pprofd, {when}", what]]),
                    TARGET_MS, "{:.1f}")
