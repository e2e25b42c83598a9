"""Time spent in BPF for a sample, against the kernel's frame-pointer walk."""
import json
import os
import subprocess

from measuring import (bpf_program_counts, bpf_statistics, line_through, log,
                       median, on_cpu, spread)

FRAMES = (10, 50, 120)
HZ = 999
SECONDS = 3
PROGRAM = "cpu_capture"
TARGET_NS_PER_FRAME_AT_120 = 45
TARGET_NS_FOR_10 = 1500


class BpfCost:
    """`samples` maps (walker, frames asked for) to [(frames, ns)]."""

    WALKERS = ("pprofd", "pprofd, frame pointers", "kernel")

    def __init__(self, binaries, pprofd, targets):
        self.binaries = binaries
        self.pprofd = pprofd
        self.targets = targets
        self.cpu = max(os.sched_getaffinity(0))
        self.samples = {}
        self.skipped_ns = []

    def measure(self, rounds):
        with bpf_statistics():
            for number in range(rounds):
                self._measure_skipped()
                for frames in FRAMES:
                    for walker in self.WALKERS:
                        self._measure_one(walker, frames)
                log(f"BPF run time: round {number + 1} of {rounds}")

    def _deep(self, frames, frame_pointers=False):
        name = "bench_deep_fp" if frame_pointers else "bench_deep"
        return self.targets.run([self.binaries / name, frames],
                                preexec_fn=on_cpu(self.cpu))

    def _capture(self, pid):
        before = bpf_program_counts(self.pprofd.daemon.pid, PROGRAM)
        profile = self.pprofd.client.profile(pid, seconds=SECONDS, hz=HZ)
        after = bpf_program_counts(self.pprofd.daemon.pid, PROGRAM)
        return profile, after[0] - before[0], after[1] - before[1]

    def _measure_skipped(self):
        """What a tick costs that hits a process nobody asked for."""
        busy = self._deep(10)
        idle = subprocess.Popen(["sleep", "60"])
        try:
            _, runs, run_ns = self._capture(idle.pid)
            self.skipped_ns.append(run_ns / runs)
        finally:
            idle.kill()
            idle.wait()
            busy.kill()

    def _measure_one(self, walker, frames):
        target = self._deep(frames, walker != "pprofd")
        try:
            if walker == "kernel":
                found = self._kernel_walk(target.pid)
            else:
                found = self._pprofd_walk(target.pid)
        finally:
            target.kill()
        self.samples.setdefault((walker, frames), []).append(found)

    def _pprofd_walk(self, pid):
        profile, runs, run_ns = self._capture(pid)
        count = profile.count
        skipped = (runs - count) * median(self.skipped_ns)
        frames = sum(len(s.user) * s.count for s in profile.samples)
        return frames / count, (run_ns - skipped) / count

    def _kernel_walk(self, pid):
        found = json.loads(subprocess.run(
            [self.binaries / "bench_fp_walk", str(pid), str(HZ), str(SECONDS)],
            check=True, capture_output=True).stdout)
        return (found["frames"] / found["samples"],
                found["run_ns"] / found["runs"])

    def row(self, walker):
        """[(frames, ns a sample, spread)] by depth, and the fitted line."""
        points = []
        for frames in FRAMES:
            found = self.samples[walker, frames]
            nanoseconds = [ns for _, ns in found]
            points.append((median([count for count, _ in found]),
                           median(nanoseconds), spread(nanoseconds)))
        return points, line_through([point[:2] for point in points])

    def report(self, page):
        page.heading("Time in BPF for a sample")
        page.text(
            "Run time of pprofd's program as the kernel counts it (its own "
            "counting, some 20 to 40 ns, included), output to the ring buffer "
            f"included, at {HZ} Hz; medians. The target is a recursion of "
            "C++ functions, gcc -O2, without frame pointers, and once more "
            "with them; \"kernel\" is a BPF program of ten lines that calls "
            "`bpf_get_stack(BPF_F_USER_STACK)` on the build with frame "
            "pointers and sends a record like pprofd's.")
        rows, fits = [], {}
        for walker in self.WALKERS:
            points, (offset, slope) = self.row(walker)
            fits[walker] = points, offset, slope
            rows.append([walker] + [
                f"{ns:,.0f} ns, {frames:.0f} frames (±{share:.0%})"
                for frames, ns, share in points]
                + [f"{offset:,.0f} + {slope:.1f} n"])
        page.table(["walk"] + [f"{n} deep" for n in FRAMES] + ["fit, ns"],
                   rows)
        page.text(f"A tick that hits a process nobody asked for costs "
                  f"{median(self.skipped_ns):.0f} ns.")
        self._judge(page, fits)

    @staticmethod
    def _judge(page, fits):
        points, _, slope = fits["pprofd"]
        frames, nanoseconds, _ = points[-1]
        page.verdict("ns a frame, 120 deep, all included",
                     nanoseconds / frames, TARGET_NS_PER_FRAME_AT_120, "{:.1f}")
        page.verdict("ns for 10 frames", points[0][1], TARGET_NS_FOR_10,
                     "{:,.0f}")
        kernel = fits["kernel"][0]
        for index, depth in enumerate(FRAMES):
            page.verdict(
                f"ratio to the kernel's frame-pointer walk, {depth} deep",
                points[index][1] / kernel[index][1], 1.0, "{:.2f}")
        page.verdict("ratio of the slopes", slope / fits["kernel"][2], 1.0,
                     "{:.2f}")
