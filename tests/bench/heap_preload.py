"""What libpprofd_heap.so costs the program that preloads it."""
import contextlib
import os
import pathlib

import daemon_process
from heap_programs import Compile, Pairs, Redis, Sqlite
from heap_watching import at_once, daemon, measure
from measuring import log, median
from waiting import wait_until

LIBRARY = daemon_process.BINARY.parent / "libpprofd_heap.so"
SECONDS = 4
FUNCTIONS = 1  # that cc1plus compiles
KINDS = (Pairs, Sqlite, Redis)
CONDITIONS = {"alone": "no pprofd", "heard": "pprofd listens"}
BOUND, TIGHT_BOUND = 1.05, 1.25


class PreloadCost:
    """`ratios` maps (program, condition) to a figure a round."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.sides = []
        for side in ("with", "without"):
            self.sides.append(self.directory / side)
            self.sides[-1].mkdir()
        self.cpus = sorted(os.sched_getaffinity(0))[:2]
        self.kinds = [kind for kind in KINDS if not kind.missing()]
        self.left_out = [f"{kind.name}: {kind.missing()}"
                         for kind in (*KINDS, Compile) if kind.missing()]
        self.ratios = {}
        self.each_ns = {}

    def measure(self, rounds):
        for number in range(rounds):
            for condition in CONDITIONS:
                listening = (daemon(self.directory) if condition == "heard"
                             else contextlib.nullcontext())
                with listening:
                    for kind in self.kinds:
                        self._note(kind.name, condition, self._run(kind))
                    if not Compile.missing():
                        self._note(Compile.name, condition, self._compile())
            log(f"preload: round {number + 1} of {rounds}: " + ", ".join(
                f"{program}, {CONDITIONS[condition]} {values[-1]:.3f}"
                for (program, condition), values in self.ratios.items()))

    def _note(self, program, condition, sides):
        loaded, bare = sides
        self.ratios.setdefault((program, condition), []).append(loaded / bare)
        self.each_ns.setdefault(program, []).append(bare)

    def _start(self, start):
        """One with and one without, which take turns on one CPU."""
        return [start(side, {"LD_PRELOAD": str(LIBRARY)}
                      if side.name == "with" else {}) for side in self.sides]

    def _run(self, kind):
        cpus = [self.cpus[0], self.cpus[-1]]
        if kind is Sqlite:
            cpus.reverse()  # it is on the last
        programs = self._start(
            lambda side, environment: kind(side, cpus, environment))
        try:
            for program in programs:
                wait_until(program.units, f"{program.name} works", 20)
            return [stretch.each_ns for stretch in at_once(
                lambda program: measure(program, SECONDS), programs)]
        finally:
            for program in programs:
                program.stop()

    def _compile(self):
        programs = self._start(lambda side, environment: Compile(
            side, self.cpus[0], FUNCTIONS, environment))
        return at_once(Compile.cpu_ns_at_end, programs)

    def report(self, page):
        page.heading("Heap: what libpprofd_heap.so costs the program")
        page.text(
            "CPU time for the same work with the library preloaded, divided "
            "by that without: two processes take turns on one CPU for "
            f"{SECONDS} s, cc1plus until it ends; medians and ranges of the "
            "rounds. One sample in 512 KiB. The programs are those above.")
        page.table(["program", *CONDITIONS.values()], [
            [program, *(self._shown(program, condition)
                        for condition in CONDITIONS)]
            for program in self.each_ns])
        pairs = median(self.each_ns[Pairs.name])
        page.text(f"A pair of malloc(64) and free takes {pairs:.1f} ns "
                  "without.")
        if self.left_out:
            page.text("Left out: " + "; ".join(self.left_out) + ".")
        for program, condition in self.ratios:
            bound = TIGHT_BOUND if program == Pairs.name else BOUND
            page.verdict(
                f"ratio of CPU time, preloaded, {CONDITIONS[condition]}, "
                f"{program}", median(self.ratios[program, condition]), bound,
                "{:.3f}")

    def _shown(self, program, condition):
        values = self.ratios[program, condition]
        return (f"{median(values):.3f} ({min(values):.3f} to "
                f"{max(values):.3f})")
