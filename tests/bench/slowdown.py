"""How much longer a busy program takes for each sample of it."""
import os
import subprocess
import threading
import time

import peers
from measuring import log, median, on_cpu, spread

HZ = 999
PPROFD_ALWAYS_HZ = 19  # its own default, on top of a capture
CHUNK_MICROSECONDS = 5000
FRAMES = 20
WINDOW_SECONDS = 4
SETTLE_SECONDS = 1


class Chunks:
    """A program on one CPU that reports each of its equal pieces of work."""

    def __init__(self, program, cpu):
        self.process = subprocess.Popen(
            [program, str(cpu), str(CHUNK_MICROSECONDS), str(FRAMES)],
            stdout=subprocess.PIPE, text=True, preexec_fn=on_cpu(cpu))
        self.process.stdout.readline()
        self.chunks = []  # (start, ns) of those that were never switched out
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            start_ns, took_ns, switches = map(int, line.split())
            if switches == 0:
                self.chunks.append((start_ns, took_ns))

    def between(self, start_ns, end_ns):
        return [took for start, took in list(self.chunks)
                if start_ns <= start and start + took <= end_ns]

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.reader.join()


class Slowdown:
    """`ratios` maps tools to the ratios of time with them to without."""

    def __init__(self, programs, directory, otel):
        cpus = sorted(os.sched_getaffinity(0))
        self.cpu = cpus[-1]
        others = ",".join(map(str, cpus[:-1] or cpus))
        prefix = ["taskset", "-c", others]
        self.program = programs / "bench_chunks"
        self.tools = [peers.Pprofd(directory, prefix),
                      peers.Perf("perf -g", directory, prefix),
                      peers.Perf("perf dwarf", directory, prefix)]
        if otel:
            self.tools.append(peers.Otel(otel, directory, prefix))
        self.ratios = {tool.name: [] for tool in self.tools}
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

    def _window(self, chunks):
        """Median time of a chunk from now on."""
        start_ns = time.monotonic_ns()
        time.sleep(WINDOW_SECONDS / 2)
        found = chunks.between(start_ns, time.monotonic_ns())
        self.kept.append(len(found))
        return median(found)

    def _measure_one(self, tool, chunks):
        before = self._window(chunks)
        tool.start(HZ, SETTLE_SECONDS + WINDOW_SECONDS)
        deadline = time.monotonic() + SETTLE_SECONDS
        peers.sleep_until(deadline)
        during = [self._window(chunks) for _ in range(2)]
        tool.stop()
        time.sleep(SETTLE_SECONDS / 2)
        after = self._window(chunks)
        self.ratios[tool.name].append(
            sum(during) / (before + after))

    @staticmethod
    def _rate(tool):
        return HZ + (PPROFD_ALWAYS_HZ if tool == "pprofd" else 0)

    def microseconds(self, tool):
        """What a sample costs the program that it hits."""
        ratios = self.ratios[tool]
        return [(ratio - 1) / self._rate(tool) * 1e6 for ratio in ratios]

    def report(self, page):
        page.heading("Slowdown of the program that is sampled")
        page.text(
            f"A program {FRAMES} calls deep does pieces of work of "
            f"{CHUNK_MICROSECONDS / 1000:g} ms on a CPU of its own priority; "
            f"each profiler samples the whole host at {HZ} Hz (pprofd at "
            f"{PPROFD_ALWAYS_HZ} Hz besides, as always), turned on and off in "
            "turns, its own processes kept on the other CPUs. Pieces that "
            "were switched out do not count; the median with it is divided "
            "by the medians before and after. What is measured is mostly the "
            "kernel's timer interrupt.")
        rows = []
        for tool, ratios in self.ratios.items():
            cost = self.microseconds(tool)
            rows.append([tool, f"{median(ratios):.4f}",
                         f"{min(ratios):.4f} to {max(ratios):.4f}",
                         f"{median(cost):.1f}", len(ratios)])
        page.table(["profiler", f"time with / without at {HZ} Hz", "range",
                    "µs a sample", "runs"], rows)
        page.text(f"Half the distance of the quartiles of pprofd's ratio: "
                  f"{spread(self.ratios['pprofd']):.2%}; "
                  f"{median(self.kept):.0f} undisturbed pieces a window.")
        mine = median(self.microseconds("pprofd"))
        page.verdict("µs a sample in the program, ratio to perf record -g",
                     mine / median(self.microseconds("perf -g")), 1.05,
                     "{:.2f}")
        if "OTel profiler" in self.ratios:
            page.verdict(
                "µs a sample in the program, ratio to the OTel profiler",
                mine / median(self.microseconds("OTel profiler")), 1.0,
                "{:.2f}")
