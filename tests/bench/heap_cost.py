"""What watching a program's allocations costs the program."""
import contextlib
import itertools
import os
import pathlib
import time

from heap_programs import (JEMALLOC, Compile, Memleak, Pairs, Redis, Sleeper,
                           Sqlite)
from heap_watching import (STRETCH_SECONDS, WINDOWS_SECONDS, Stretch, Tracking,
                           at_once, between, daemon, measure)
from measuring import log, median, process_cpu_ns
from waiting import wait_until

SETTLE_SECONDS = 0.5
EVERYTHING = "heap:\n  budget_percent: 1000\n"  # ten CPUs: every call
BUDGET_SHARE = 0.01
SHORT_COMPILE = 1     # functions
LONG_COMPILE = 300    # more than is waited for
PEER_ROUNDS = 2       # in which others are measured, too
CROWDS = (0, 1, 4, 16)  # processes tracked besides
HEAPTRACK = pathlib.Path("/usr/lib/heaptrack/libheaptrack_preload.so")
# A preload and what it is compared with: the condition of that name.
PRELOADS = {
    "heaptrack": (HEAPTRACK, {"DUMP_HEAPTRACK_OUTPUT": "/dev/null"}, "none"),
    "jemalloc": (JEMALLOC, {}, "none"),
    "jemalloc prof": (JEMALLOC, {
        "MALLOC_CONF": "prof:true,lg_prof_sample:19"}, "jemalloc"),
}
CONDITIONS = {
    "idle": "asked for nothing", "windows": "tracked, 1 % of a CPU",
    "all": "tracked, every call", "memleak": "memleak",
    "heaptrack": "heaptrack", "jemalloc": "jemalloc",
    "jemalloc prof": "jemalloc, prof, to jemalloc"}
# At once, each on a CPU of its own.
GROUPS = ((Pairs, Sqlite), (Redis,))


class HeapCost:
    """`ratios` maps (program, condition) to a figure a round; `hit_ns` the
    program to what a hit really cost it, `hit_ns_said` to what pprofd says."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        # Niceness counts within a session only where sessions are groups. Far
        # above the kernel's own threads, these would be waited for.
        with contextlib.suppress(OSError):
            pathlib.Path("/proc/self/autogroup").write_text("-5")
        self.cpus = sorted(os.sched_getaffinity(0))[:2]
        self.ratios, self.hit_ns, self.hit_ns_said = {}, {}, {}
        self.unit_ns, self.by_count = {}, {}
        self.crowd_ns = {}  # by others tracked: what a hit costs
        self.left_out = []
        self.without_memleak = Memleak.missing()
        if self.without_memleak:
            self.left_out.append(f"memleak: {self.without_memleak}")
        self.preloads = {}
        for name, (library, *_) in PRELOADS.items():
            if library.exists():
                self.preloads[name] = PRELOADS[name]
            else:
                self.left_out.append(f"{name}: no {library} here")
        for kind in (*itertools.chain(*GROUPS), Compile):
            if why := kind.missing():
                self.left_out.append(f"{kind.name}: {why}")
        self.groups = [[kind for kind in group if not kind.missing()]
                       for group in GROUPS]

    def measure(self, rounds):
        for number in range(rounds):
            start = time.monotonic()
            self.measure_round(number)
            log(f"heap: round {number + 1} of {rounds}, "
                f"{time.monotonic() - start:.0f} s")

    def measure_round(self, number):
        with_peers = number < PEER_ROUNDS
        for kinds in filter(None, self.groups):
            self._measure_running(kinds, with_peers)
            for name in self.preloads if with_peers else ():
                self._measure_preload(kinds, name)
        if not Compile.missing():
            self._measure_compiles(number, with_peers)
        if with_peers:
            self._measure_crowd()

    def _add(self, table, key, value):
        table.setdefault(key, []).append(value)

    def _start(self, kinds, environment=()):
        programs = [kind(self.directory, self.cpus, environment)
                    for kind in kinds]
        for program in programs:
            wait_until(program.units, f"{program.name} works", 20)
        time.sleep(SETTLE_SECONDS)
        return programs

    def _measure_running(self, kinds, with_peers):
        """One and the same process under one condition behind another."""
        programs = self._start(kinds)
        found = {program: {} for program in programs}

        def note(condition, stretches):
            for program, stretch in zip(programs, stretches):
                found[program][condition] = stretch

        def note_none():
            for program, stretch in zip(programs, at_once(measure, programs)):
                none = found[program].get("none", Stretch(0, 0))
                found[program]["none"] = none + stretch
        try:
            note_none()
            with daemon(self.directory) as pprofd:
                note("idle", at_once(measure, programs))
                note("windows", at_once(
                    lambda program: self._watch_windows(pprofd, program),
                    programs))
            note_none()
            # A daemon for each: what else is tracked makes hits dearer.
            everything = []
            for program in programs:
                with daemon(self.directory, EVERYTHING) as pprofd:
                    everything.append(self._watch_all(pprofd, program))
            note("all", everything)
            if with_peers and not self.without_memleak:
                note("memleak", self._watch_by_memleak(programs))
            note_none()
        finally:
            for program in programs:
                program.stop()
        for program in programs:
            self._note_running(program, found[program])

    def _watch_windows(self, pprofd, program):
        tracking = Tracking(pprofd, program.pid)
        if not tracking.wait_for_windows():
            hits = tracking.hits()
            stretch = measure(program, WINDOWS_SECONDS)
            stretch.hits = tracking.hits() - hits
            stretch.seconds = WINDOWS_SECONDS
            return stretch
        start = program.point()
        hits, seconds = tracking.wait_whole_windows()
        stretch = between([start, program.point()])
        stretch.hits, stretch.seconds = hits, seconds
        return stretch

    def _watch_all(self, pprofd, program):
        tracking = Tracking(pprofd, program.pid)
        hits = tracking.hits()
        stretch = measure(program)
        stretch.hits = tracking.hits() - hits
        self._add(self.hit_ns_said, program.name, tracking.ns_said())
        return stretch

    def _watch_by_memleak(self, programs):
        running = []
        try:
            for program in programs:
                running.append(Memleak(program, self.directory))
            at_once(Memleak.wait_until_attached, running)
            return at_once(measure, programs)
        except RuntimeError as error:
            why = f"memleak on {programs[0].name} ({error})"
            if why not in self.left_out:
                self.left_out.append(why)
            return ()
        finally:
            for memleak in running:
                memleak.stop()

    def _note_running(self, program, found):
        none = found.pop("none")
        self._add(self.unit_ns, program.name, none.each_ns)
        ratios = {condition: stretch.each_ns / none.each_ns
                  for condition, stretch in found.items()}
        ratios["idle"] = found["idle"].calm_ns / none.calm_ns
        for condition, ratio in ratios.items():
            self._add(self.ratios, (program.name, condition), ratio)
        everything = found["all"]
        hit_ns = ((everything.cpu_ns - everything.units * none.each_ns)
                  / everything.hits)
        self._add(self.hit_ns, program.name, hit_ns)
        windows = found["windows"]
        self._add(self.by_count, program.name,
                  windows.hits * hit_ns / windows.seconds / 1e9)
        log(f"heap: {program.name}: {none.each_ns:.4g} ns a {program.unit}, "
            f"{hit_ns:.0f} ns a hit; "
            + ", ".join(f"{condition} {ratio:.3f}"
                        for condition, ratio in ratios.items()))

    def _measure_preload(self, kinds, name):
        library, environment, _ = self.preloads[name]
        programs = self._start(kinds, {**environment,
                                       "LD_PRELOAD": str(library)})
        try:
            stretches = at_once(measure, programs)
        finally:
            for program in programs:
                program.stop()
        for program, stretch in zip(programs, stretches):
            self._note_preload(program.name, name, stretch.each_ns)

    def _note_preload(self, program, name, each_ns):
        """In reference to what was measured last."""
        self._add(self.unit_ns, (program, name), each_ns)
        reference = self.preloads[name][2]
        without = self.unit_ns[program if reference == "none"
                               else (program, reference)][-1]
        self._add(self.ratios, (program, name), each_ns / without)

    def _measure_crowd(self):
        """What a hit costs while others that do nothing are tracked, too."""
        [pairs] = self._start([Pairs])
        sleepers = [Sleeper() for _ in range(max(CROWDS))]
        try:
            without = measure(pairs).each_ns
            with daemon(self.directory, EVERYTHING) as pprofd:
                Tracking(pprofd, pairs.pid)
                for others in CROWDS:
                    for future in [sleeper.track(pprofd)
                                   for sleeper in sleepers[:others]]:
                        future.result()
                    each_ns = (measure(pairs).each_ns - without) / 2
                    self._add(self.crowd_ns, others, each_ns)
        finally:
            for program in (pairs, *sleepers):
                program.stop()
        log("heap: ns a hit by others tracked: "
            + ", ".join(f"{others}: {values[-1]:.0f}"
                        for others, values in self.crowd_ns.items()))

    def _short_compile_ns(self, environment=()):
        compiler = Compile(self.directory, self.cpus[0], SHORT_COMPILE,
                           environment)
        return compiler.cpu_ns_at_end()

    def _measure_compiles(self, number, with_peers):
        """cc1plus ends: each condition has one of its own."""
        name = Compile.name
        none = self._short_compile_ns()
        cpus = self.cpus if number % 2 else self.cpus[::-1]
        with daemon(self.directory) as pprofd:
            idle = self._short_compile_ns()
            windows = self._compare_compiles(
                cpus, lambda tracked: self._watch_compile(pprofd, tracked))
        none = (none + self._short_compile_ns()) / 2
        self._add(self.unit_ns, name, none)
        self._add(self.ratios, (name, "idle"), idle / none)
        with daemon(self.directory, EVERYTHING) as pprofd:
            everything = self._compare_compiles(
                cpus, lambda tracked: self._watch_compile_all(pprofd, tracked))
        hit_ns = everything.cpu_ns / everything.hits
        self._add(self.hit_ns, name, hit_ns)
        self._add(self.by_count, name,
                  windows.hits * hit_ns / windows.seconds / 1e9)
        if with_peers and not self.without_memleak:
            self._compare_compiles(cpus, self._watch_compile_by_memleak)
        for preload in self.preloads if with_peers else ():
            library, environment, _ = self.preloads[preload]
            self._note_preload(name, preload, self._short_compile_ns(
                {**environment, "LD_PRELOAD": str(library)}))
        log(f"heap: {name}: {none / 1e6:.0f} ms, {hit_ns:.0f} ns a hit; "
            + ", ".join(f"{condition} {values[-1]:.3f}" for
                        (program, condition), values in self.ratios.items()
                        if program == name))

    def _compare_compiles(self, cpus, watch):
        """Two at once, of which one is watched: what it used more. `watch`
        returns (condition, place from which on, hits, seconds)."""
        compilers = [Compile(self.directory, cpu, LONG_COMPILE).follow()
                     for cpu in cpus]
        watched, other = compilers
        try:
            wait_until(lambda: process_cpu_ns(watched.pid) > 1e9,
                       "it compiles", 60)
            condition, begin, hits, seconds = watch(watched)
            end = watched.place()
            wait_until(lambda: other.place() >= end, "the other is as far", 60)
            used, used_other = (
                compiler.cpu_until(end) - compiler.cpu_until(begin)
                for compiler in compilers)
        finally:
            for compiler in compilers:
                compiler.stop()
        self._add(self.ratios, (Compile.name, condition), used / used_other)
        return Stretch(1, used - used_other, hits, seconds)

    def _watch_compile(self, pprofd, compiler):
        tracking = Tracking(pprofd, compiler.pid)
        tracking.wait_for_windows()
        begin = compiler.place()
        hits, seconds = tracking.wait_whole_windows()
        return "windows", begin, hits, seconds

    def _watch_compile_all(self, pprofd, compiler):
        tracking = Tracking(pprofd, compiler.pid)
        begin, hits = compiler.place(), tracking.hits()
        time.sleep(STRETCH_SECONDS)
        hits = tracking.hits() - hits
        self._add(self.hit_ns_said, Compile.name, tracking.ns_said())
        return "all", begin, hits, STRETCH_SECONDS

    def _watch_compile_by_memleak(self, compiler):
        memleak = Memleak(compiler, self.directory)
        try:
            memleak.wait_until_attached()
            begin = compiler.place()
            time.sleep(STRETCH_SECONDS)
            return "memleak", begin, 0, STRETCH_SECONDS
        finally:
            memleak.stop()

    def _shown(self, program, condition):
        values = self.ratios.get((program, condition))
        if not values:
            return ""
        form = "{:.1f}" if median(values) > 5 else "{:.2f}"
        return (form + " (" + form + " to " + form + ")").format(
            median(values), min(values), max(values))

    def report(self, page):
        page.heading("Heap: what it costs the program")
        page.text(
            "CPU time of a program for the same work, all its threads, "
            "divided by that without; medians and ranges of the rounds, of "
            f"other tools of {PEER_ROUNDS} rounds only. All "
            "but cc1plus are measured in one process, under one condition "
            "behind another and without in the beginning, between them and in "
            f"the end, {STRETCH_SECONDS} s each. redis-server is under "
            "`redis-benchmark -P 16 -t set,get`; sqlite3 builds 20,000 rows "
            "of random text a query. cc1plus ends too soon to be asked about: "
            "where it must run, two compile a long file at once, and the "
            "one that is watched is compared with the other over the same "
            "part of it.")
        page.text(
            "\"Asked for nothing\": pprofd runs. \"Tracked\": "
            "`/debug/pprof/heap?pid=N` was asked for, and the budget's saved "
            f"part has been spent; {WINDOWS_SECONDS} s or more a round, from "
            "the end of a window to that of another. \"Every call\": with "
            "`heap.budget_percent: 1000`, one process after another. memleak "
            "is that of bcc's libbpf-tools; heaptrack's interpreter is not "
            "counted.")
        shown = {name: title for name, title in CONDITIONS.items()
                 if any(condition == name for _, condition in self.ratios)}
        page.table(["program", *shown.values()], [
            [program, *(self._shown(program, name) for name in shown)]
            for program in self.hit_ns])
        page.text(
            "What a call costs while it is watched, in ns: \"said\" is "
            "pprofd's own figure, by which it keeps the budget, \"measured\" "
            "the time the program used more with every call tracked, for each "
            "call that pprofd counted. \"By count\" is what the calls counted "
            "in the windows come to at the measured price, in % of one CPU: "
            "it is free of the noise of the machine, which the ratio of 1 % "
            "is not.")
        rows = []
        for program, measured in self.hit_ns.items():
            said, share = self.hit_ns_said[program], self.by_count[program]
            rows.append([
                program, self._work(program),
                f"{median(said):.0f}", f"{min(said)} to {max(said)}",
                f"{median(measured):.0f}",
                f"{min(measured):.0f} to {max(measured):.0f}",
                f"{100 * median(share):.2f}",
                f"{100 * min(share):.2f} to {100 * max(share):.2f}"])
        page.table(["program", "work without", "said", "range", "measured",
                    "range", "by count, %", "range"], rows)
        page.text(
            "The kernel asks all who probe a function at each call of it: "
            "what a call of malloc or free costs a process that is watched, "
            "while others that use the same libc.so.6, and sleep, are "
            "tracked, too.")
        page.table(["others tracked", "ns a call", "range"], [
            [others, f"{median(values):,.0f}",
             f"{min(values):,.0f} to {max(values):,.0f}"]
            for others, values in self.crowd_ns.items()])
        if self.left_out:
            page.text("Left out: " + "; ".join(self.left_out) + ".")
        self._judge(page)

    def _work(self, program):
        each = median(self.unit_ns[program])
        units = {kind.name: kind.unit for group in GROUPS for kind in group}
        if program not in units:
            return f"{each / 1e6:,.0f} ms a file"
        if program == Sqlite.name:
            return f"{each / 1e6:.2f} ms a query"
        return f"{each:,.1f} ns a {units[program]}"

    def _judge(self, page):
        for program in self.hit_ns:
            page.verdict(
                f"ratio of CPU time, asked for nothing, {program}",
                median(self.ratios[program, "idle"]), 1.01, "{:.3f}")
            page.verdict(
                f"% of a CPU for tracking the heap, by count, {program}",
                100 * median(self.by_count[program]), 100 * BUDGET_SHARE,
                "{:.2f}")
