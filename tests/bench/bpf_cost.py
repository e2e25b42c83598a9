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
        self.cpu = min(os.sched_getaffinity(0))
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
        """[(frames, ns a sample, the least, spread)] by depth."""
        points = []
        for depth in FRAMES:
            found = self.samples[walker, depth]
            nanoseconds = [ns for _, ns in found]
            points.append((median([count for count, _ in found]),
                           median(nanoseconds), min(nanoseconds),
                           spread(nanoseconds)))
        return points

    def ratio_to_kernel(self, depth):
        """Median over the rounds: both were measured within seconds."""
        return median([mine / theirs for (_, mine), (_, theirs) in
                       zip(self.samples["pprofd", depth],
                           self.samples["kernel", depth])])

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
        page.text(
            "The kernel's walk ends in main, as libc has no frame pointers; "
            "pprofd's goes on to _start, three frames more. \"Least\" is the "
            "best of the rounds, nearest to what a quiet machine shows.")
        rows, lines = [], {}
        for walker in self.WALKERS:
            points = self.row(walker)
            lines[walker] = line_through([point[:2] for point in points])
            least = line_through([(point[0], point[2]) for point in points])
            rows.append([walker] + [
                f"{frames:.0f}: {ns:,.0f} ±{share:.0%}, least {lowest:,.0f}"
                for frames, ns, lowest, share in points]
                + ["{:,.0f} + {:.1f} n".format(*lines[walker]),
                   "{:,.0f} + {:.1f} n".format(*least)])
        page.table(["walk", *(f"frames: ns, {depth} deep" for depth in FRAMES),
                    "fit", "fit of the least"], rows)
        page.text(f"A tick that hits a process nobody asked for costs "
                  f"{median(self.skipped_ns):.0f} ns.")
        self._judge(page, lines)

    def _judge(self, page, lines):
        points = self.row("pprofd")
        frames, nanoseconds, least, _ = points[-1]
        for what, value in (("", nanoseconds), (", least", least)):
            page.verdict(f"ns in BPF a frame, 120 deep, all included{what}",
                         value / frames, TARGET_NS_PER_FRAME_AT_120, "{:.1f}")
        for what, value in (("", points[0][1]), (", least", points[0][2])):
            page.verdict(f"ns in BPF for 10 frames{what}", value,
                         TARGET_NS_FOR_10, "{:,.0f}")
        for depth in FRAMES:
            page.verdict(
                f"ratio to the kernel's frame-pointer walk, {depth} deep",
                self.ratio_to_kernel(depth), 1.0, "{:.2f}")
        page.verdict("ratio of the ns for each further frame",
                     lines["pprofd"][1] / lines["kernel"][1], 1.0, "{:.2f}")
