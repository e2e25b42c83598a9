"""How much longer a busy program takes for each sample of it."""
import dataclasses
import os
import statistics
import subprocess
import threading
import time

import peers
from measuring import log, median, on_cpu

HZ = 999
PPROFD_ALWAYS_HZ = 19  # its own default, on top of a capture
CHUNK_MICROSECONDS = 10000
FRAMES = 20
WINDOW_SECONDS = 4
SETTLE_SECONDS = 1


@dataclasses.dataclass
class Window:
    """What chunks say of a stretch of time."""
    chunk_ns: float  # lower quartile: the upper ones met other disturbances
    taken: float     # share of time that interrupts took
    chunks: int


class Chunks:
    """A program on one CPU that reports each of its equal pieces of work."""

    def __init__(self, program, cpu):
        self.process = subprocess.Popen(
            [program, str(cpu), str(CHUNK_MICROSECONDS), str(FRAMES)],
            stdout=subprocess.PIPE, text=True, preexec_fn=on_cpu(cpu))
        self.process.stdout.readline()
        self.chunks = []  # (start, ns, ns of interrupts), never switched out
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            start_ns, took_ns, switches, taken_ns = map(int, line.split())
            if switches == 0:
                self.chunks.append((start_ns, took_ns, taken_ns))

    def window(self, seconds):
        """From now on."""
        start_ns = time.monotonic_ns()
        time.sleep(seconds)
        end_ns = time.monotonic_ns()
        found = [chunk for chunk in list(self.chunks)
                 if start_ns <= chunk[0] and sum(chunk[:2]) <= end_ns]
        took = [chunk[1] for chunk in found]
        return Window(statistics.quantiles(took, n=4)[0],
                      sum(chunk[2] for chunk in found) / sum(took),
                      len(found))

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.reader.join()


class Slowdown:
    """By tool, a figure a run: `ratios` of time with it to without, and
    `taken`, the share of time that interrupts took with it."""

    def __init__(self, binaries, directory, otel):
        cpus = sorted(os.sched_getaffinity(0))
        self.cpu = cpus[0]
        others = ",".join(map(str, cpus[1:] or cpus))
        prefix = ["nice", "-n", "-15", "taskset", "-c", others]
        self.program = binaries / "bench_chunks"
        self.tools = [peers.Pprofd(directory, prefix),
                      peers.Perf("perf -g", directory, prefix),
                      peers.Perf("perf dwarf", directory, prefix)]
        if otel:
            self.tools.append(peers.Otel(otel, directory, prefix))
        self.ratios = {tool.name: [] for tool in self.tools}
        self.taken = {tool.name: [] for tool in self.tools}
        self.taken_without = []  # by other interrupts, in all the runs
        self.kept = []

    def measure(self, rounds):
        chunks = Chunks(self.program, self.cpu)
        try:
            for number in range(rounds):
                # Turned round each time: what drifts hits all alike.
                shift = number % len(self.tools)
                for tool in self.tools[shift:] + self.tools[:shift]:
                    self._measure_one(tool, chunks)
                log(f"slowdown: round {number + 1} of {rounds}")
        finally:
            chunks.stop()

    def _measure_one(self, tool, chunks):
        before = chunks.window(WINDOW_SECONDS / 2)
        tool.start(HZ, 2 * SETTLE_SECONDS + WINDOW_SECONDS)
        time.sleep(SETTLE_SECONDS)
        during = chunks.window(WINDOW_SECONDS)
        tool.stop()
        time.sleep(SETTLE_SECONDS)
        after = chunks.window(WINDOW_SECONDS / 2)
        self.ratios[tool.name].append(
            2 * during.chunk_ns / (before.chunk_ns + after.chunk_ns))
        self.taken[tool.name].append(during.taken)
        self.taken_without += [before.taken, after.taken]
        self.kept.append(during.chunks)

    def microseconds(self, tool):
        """What a sample takes from the program that it hits, in each run."""
        rate = HZ + (PPROFD_ALWAYS_HZ if tool == "pprofd" else 0)
        without = median(self.taken_without)
        return [(taken - without) / rate * 1e6 for taken in self.taken[tool]]

    def report(self, page):
        page.heading("Slowdown of the program that is sampled")
        page.text(
            f"A program {FRAMES} calls deep, built with frame pointers so "
            "that perf -g has as much to walk, does equal pieces of work of "
            f"{CHUNK_MICROSECONDS / 1000:g} ms on a CPU of its own and watches "
            f"the clock; each profiler samples the whole host at {HZ} Hz "
            f"(pprofd at {PPROFD_ALWAYS_HZ} Hz besides, as always), turned on "
            "and off in turns, its own processes kept on the other CPUs. "
            "Pieces that were switched out do not count. \"Taken\" is the "
            "time that goes by in jumps of 1 to 100 µs, interrupts, with the "
            "profiler less the median of all runs without; \"time\" is the "
            "lower quartile of the pieces with, divided by that without, "
            "which a loaded machine blurs more. Most of it is the kernel's "
            "timer interrupt.")
        rows = []
        for tool, ratios in self.ratios.items():
            cost = self.microseconds(tool)
            rows.append([tool, f"{median(cost):.1f}",
                         f"{min(cost):.1f} to {max(cost):.1f}",
                         f"{median(ratios):.4f}",
                         f"{min(ratios):.4f} to {max(ratios):.4f}",
                         len(ratios)])
        page.table(["profiler", "taken, µs a sample", "range",
                    f"time at {HZ} Hz", "range", "runs"], rows)
        page.text(f"{median(self.kept):.0f} undisturbed pieces a run.")
        for peer, bound in (("perf -g", 1.05), ("OTel profiler", 1.0)):
            if peer in self.taken:
                page.verdict(f"time taken for a sample, ratio to {peer}",
                             median(self.microseconds("pprofd"))
                             / median(self.microseconds(peer)), bound,
                             "{:.2f}")
