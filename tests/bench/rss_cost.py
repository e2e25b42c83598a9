"""What sampling page faults costs the programs that take them."""
import json
import os
import pathlib
import subprocess
import time

from heap_programs import Compile
from heap_watching import daemon
from measuring import (bpf_program_counts, bpf_statistics, log, median, on_cpu,
                       process_cpu_ns)
from target_process import TARGETS_DIR

PAGE = 4096
MIB = 256          # touched by a run
RUNS = 3           # of each program in a round, of which the shortest counts
SETTLE_SECONDS = 3
COMPILED = 1       # functions
CONDITIONS = {"off": "rss:\n  enabled: false\n", "on": ""}
MOST = 1.02


class Grow:
    """tests/targets/grow, which does nothing but touch memory first."""

    def __init__(self, cpu):
        self.process = subprocess.Popen(
            [TARGETS_DIR / "grow", "touch", str(MIB)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, preexec_fn=on_cpu(cpu))
        self.process.stdout.readline()

    def run(self):
        """(CPU time in ns, pages touched)"""
        before = process_cpu_ns(self.process.pid)
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        truth = json.loads(self.process.stdout.readline())
        cpu_ns = process_cpu_ns(self.process.pid) - before
        return cpu_ns, truth["grown"] / PAGE

    def stop(self):
        self.process.kill()
        self.process.wait()


class RssCost:
    """By condition: `fault_ns` of a fault, `compile_ns` of a run of cc1plus;
    `run_ns` of the program at a fault, `faults` of a run of cc1plus."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.cpu = max(os.sched_getaffinity(0))
        self.fault_ns = {condition: [] for condition in CONDITIONS}
        self.compile_ns = {condition: [] for condition in CONDITIONS}
        self.run_ns = []
        self.faults = 0
        self.why_no_compiler = Compile.missing()

    def measure(self, rounds):
        for number in range(rounds):
            order = list(CONDITIONS)
            for condition in order if number % 2 else order[::-1]:
                with daemon(self.directory, CONDITIONS[condition]) as pprofd:
                    time.sleep(SETTLE_SECONDS)
                    self._measure_one(condition)
                    if condition == "on":
                        self._measure_program(pprofd.daemon.pid)
            log(f"rss: round {number + 1} of {rounds}: "
                + ", ".join(f"{condition} {values[-1]:.0f} ns a fault"
                            for condition, values in self.fault_ns.items())
                + f", {self.run_ns[-1]:.0f} ns of them in BPF; cc1plus "
                + f"{self._ratios(self.compile_ns)[-1:]}")

    def _measure_one(self, condition):
        faults = []
        compiles = []
        for _ in range(RUNS):
            grow = Grow(self.cpu)
            try:
                cpu_ns, pages = grow.run()
                faults.append(cpu_ns / pages)
            finally:
                grow.stop()
            if not self.why_no_compiler:
                compiles.append(self._compile())
        self.fault_ns[condition].append(min(faults))
        if compiles:
            self.compile_ns[condition].append(min(compiles))

    def _compile(self):
        compiler = Compile(self.directory, self.cpu, COMPILED)
        _, status, usage = os.wait4(compiler.pid, 0)
        compiler.process.returncode = os.waitstatus_to_exitcode(status)
        if status:
            raise RuntimeError(f"cc1plus: {status}")
        self.faults = usage.ru_minflt
        return (usage.ru_utime + usage.ru_stime) * 1e9

    def _measure_program(self, pid):
        grow = Grow(self.cpu)
        try:
            with bpf_statistics():
                before = bpf_program_counts(pid, "rss_user")
                grow.run()
                after = bpf_program_counts(pid, "rss_user")
        finally:
            grow.stop()
        self.run_ns.append((after[1] - before[1]) / (after[0] - before[0]))

    @staticmethod
    def _ratios(by_condition):
        return [on / off for on, off in
                zip(by_condition["on"], by_condition["off"])]

    def _by_count(self):
        """What is not lost in the noise of other programs."""
        return 1 + (self.faults * median(self.run_ns)
                    / median(self.compile_ns["off"]))

    def report(self, page):
        page.heading("Sampling page faults")
        page.text(
            "CPU time with a daemon that samples one page fault of 128, "
            "against one that samples none (rss.enabled: false), in turn, on "
            f"one CPU; the shortest of {RUNS} runs of each counts. The kernel "
            "says how long the BPF program takes for a fault, the samples "
            "included; its own two readings of the clock are part of that.")
        rows = [["a page touched first", f"{median(self.fault_ns['off']):,.0f} "
                 "ns", f"{median(self.fault_ns['on']):,.0f} ns",
                 f"{median(self._ratios(self.fault_ns)):.3f}"]]
        if self.why_no_compiler:
            page.text(f"Left out: cc1plus: {self.why_no_compiler}.")
        else:
            rows.append(
                [f"cc1plus, {self.faults:,} faults a file",
                 f"{median(self.compile_ns['off']) / 1e6:,.0f} ms",
                 f"{median(self.compile_ns['on']) / 1e6:,.0f} ms",
                 f"{median(self._ratios(self.compile_ns)):.3f}"])
            page.verdict("ratio of CPU time, page faults sampled, cc1plus",
                         median(self._ratios(self.compile_ns)), MOST, "{:.3f}")
            page.verdict("the same by count of faults", self._by_count(), MOST,
                         "{:.4f}")
        page.table(["", "off", "on", "ratio"], rows)
        page.text(f"The BPF program takes {median(self.run_ns):.0f} ns for a "
                  f"fault ({min(self.run_ns):.0f} to {max(self.run_ns):.0f}).")
