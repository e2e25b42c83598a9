"""Compares sampled stacks with what the sampled program knows of itself."""
import collections
import dataclasses
import math
import re

import elf_names

# Where a stack may end: program and thread entry of glibc and musl.
ROOTS = frozenset({
    "_start", "main", "__libc_start_main", "__libc_start_main_impl",
    "__libc_start_call_main", "clone3", "__clone3", "clone", "__clone",
    "start_thread", "runtime.goexit", "runtime.goexit.abi0", "runtime.mstart",
    "runtime.rt0_go", "runtime.rt0_go.abi0", "_rt0_amd64_linux",
    # Here Go's scheduler leaves a goroutine's stack for its own.
    "runtime.mcall", "runtime.morestack", "runtime.systemstack",
    "runtime.morestack.abi0", "runtime.systemstack.abi0",
})
# A thread on its way out has given up its memory, and its user stack with it.
EXITING = "[truncated: thread exiting, its memory is gone]"
MOST_EXITING_SHARE = 0.05
RUST_HASH = re.compile(r"::h[0-9a-f]{16}$")


def plain_name(name):
    """Without Rust's hash."""
    return RUST_HASH.sub("", name)


def reaches_root(sample, roots=ROOTS):
    """Whether the user stack ends where stacks begin, or is gone for good."""
    if sample.names[-1:] == (EXITING,):
        return True
    if not sample.user or sample.names[-1].startswith("[truncated"):
        return False
    return (any(name in roots for name in sample.names)
            or elf_names.is_entry_point(sample.user[-1]))


@dataclasses.dataclass(repr=False)
class Verdict:
    """What a profile of a program that knows its stacks is worth."""
    samples: int = 0
    complete: int = 0
    with_own_frames: int = 0
    exact: int = 0
    frames: int = 0
    named_frames: int = 0
    exiting: int = 0
    by_scenario: collections.Counter = dataclasses.field(
        default_factory=collections.Counter)
    wrong_stacks: collections.Counter = dataclasses.field(
        default_factory=collections.Counter)

    @property
    def complete_share(self):
        # A few threads end at any time; more cannot be told from blindness.
        blind = (self.exiting if self.exiting
                 > MOST_EXITING_SHARE * self.samples else 0)
        return (self.complete - blind) / max(self.samples, 1)

    @property
    def exact_share(self):
        return self.exact / max(self.with_own_frames, 1)

    @property
    def named_share(self):
        return self.named_frames / max(self.frames, 1)

    def __repr__(self):
        text = (f"{self.samples} samples: {self.complete_share:.2%} complete, "
                f"{self.exact_share:.2%} exact, frames "
                f"{self.named_share:.2%} named")
        for stack, count in self.wrong_stacks.most_common(8):
            text += f"\n  {count} x {stack}"
        return text


def compress(names):
    """["f", "f", "g"] as "f*2 < g"."""
    runs = []
    for name in names:
        if runs and runs[-1][0] == name:
            runs[-1][1] += 1
        else:
            runs.append([name, 1])
    return " < ".join(name + (f"*{n}" if n > 1 else "") for name, n in runs)


class StackTruth:
    """The truth line of a target of the burn family."""

    def __init__(self, truth):
        self.scenarios = truth["scenarios"]
        self.chains = [tuple(chain) for scenario in self.scenarios
                       for chain in scenario["chains"]]
        self.own = frozenset(name for chain in self.chains for name in chain)
        self.roots = ROOTS.union(*(s["roots"] for s in self.scenarios))

    def is_exact(self, own_names):
        """A chain may be cut at its leaf: the sample hit a caller itself."""
        size = len(own_names)
        return any(chain[-size:] == own_names for chain in self.chains)

    def judge(self, profile, names_of=None):
        """names_of(sample) replaces the names that the profile gives."""
        verdict = Verdict()
        for sample in profile.samples:
            names = tuple(map(plain_name, names_of(sample) if names_of
                              else sample.names))
            own = tuple(name for name in names if name in self.own)
            complete = (reaches_root(sample, self.roots)
                        or bool(own) and own[-1] in self.roots)
            exact = self.is_exact(own)
            verdict.samples += sample.count
            verdict.exiting += sample.count * (names[-1:] == (EXITING,))
            verdict.complete += complete * sample.count
            verdict.frames += len(names) * sample.count
            verdict.named_frames += (sum(map(bool, names)) * sample.count)
            if own:
                verdict.with_own_frames += sample.count
                verdict.exact += exact * sample.count
            if not complete or own and not exact:
                verdict.wrong_stacks[compress(names)] += sample.count
            for scenario in self.scenarios:
                if scenario["marker"] in names:
                    verdict.by_scenario[scenario["name"]] += sample.count
        return verdict

    def check_shares(self, verdict):
        """Sampled shares against measured CPU time, by chi square."""
        total_ns = sum(s["cpu_ns"] for s in self.scenarios)
        observed = {s["name"]: verdict.by_scenario[s["name"]]
                    for s in self.scenarios}
        total = sum(observed.values())
        chi_square = 0
        for scenario in self.scenarios:
            expected = total * scenario["cpu_ns"] / total_ns
            chi_square += (observed[scenario["name"]] - expected)**2 / expected
        bound = chi_square_bound(len(self.scenarios) - 1)
        assert total > 100, f"only {total} samples: {verdict}"
        assert chi_square <= bound, (
            f"chi square {chi_square:.1f} > {bound:.1f}: sampled {observed}, "
            "measured " + str({s["name"]: round(total * s["cpu_ns"] / total_ns)
                               for s in self.scenarios}))


def chi_square_bound(degrees):
    """Exceeded by chance once in 10,000 (Wilson and Hilferty)."""
    spread = 2 / (9 * degrees)
    return degrees * (1 - spread + 3.719 * math.sqrt(spread))**3
