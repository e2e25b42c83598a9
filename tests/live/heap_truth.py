"""Programs that know what they allocate, and profiles compared with them."""
import dataclasses
import json
import math
import pathlib
import subprocess

from stack_truth import plain_name
from target_process import TARGETS_DIR, TargetProcess
from waiting import wait_until


class HeapTarget(TargetProcess):
    """A program of tests/targets/heap, which acts when it is told to."""

    def __init__(self, name, arguments, directory, **popen_options):
        # Not as a TargetProcess does: this one is talked to.
        self.command = [str(TARGETS_DIR / name), *map(str, arguments)]
        self.output_file = (pathlib.Path(directory)
                            / f"{pathlib.Path(name).name}.{id(self)}.out")
        self.truths_seen = 0
        with open(self.output_file, "wb") as output:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=output,
                stderr=subprocess.STDOUT, cwd=directory, **popen_options)
        self.pid = self.process.pid
        self.wait_until_ready()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        self.process.stdin.close()

    def go_on(self):
        """Sends the line it waits for."""
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    def next_truth(self, seconds=60):
        """The truth that it has not told yet, when it does."""
        def truths():
            lines = self.output().split("\n")[:-1]  # a whole line ends
            found = [line for line in lines if line.startswith("{")]
            assert self.process.poll() is None or found[self.truths_seen:], (
                f"{self.command} ended: {self.output()}")
            return found[self.truths_seen:]
        line = wait_until(truths, f"{self.command} tells its truth", seconds)[0]
        self.truths_seen += 1
        return HeapTruth(json.loads(line))

    def act(self, seconds=60):
        """Has it do its next part; returns what it tells then."""
        self.go_on()
        return self.next_truth(seconds)

    def finish(self):
        """Has it end by itself."""
        self.go_on()
        assert self.process.wait(20) == 0, self.output()


@dataclasses.dataclass
class HeapSums:
    """The four values of a heap profile, by the names they have there."""
    alloc_objects: int = 0
    alloc_space: int = 0
    inuse_objects: int = 0
    inuse_space: int = 0
    samples: int = dataclasses.field(default=0, compare=False)

    def add(self, values):
        self.alloc_objects += values[0]
        self.alloc_space += values[1]
        self.inuse_objects += values[2]
        self.inuse_space += values[3]
        self.samples += 1


HEAP_TYPES = [("alloc_objects", "count"), ("alloc_space", "bytes"),
              ("inuse_objects", "count"), ("inuse_space", "bytes")]


class HeapTruth:
    """What a heap target says it did; `sites` by the allocating function."""

    def __init__(self, truth):
        self.raw = truth
        self.totals = truth["totals"]
        self.callers = {name: site["caller"]
                        for name, site in truth["sites"].items()}
        self.sites = {
            name: HeapSums(site["objects"], site["bytes"],
                           site["live_objects"], site["live_bytes"])
            for name, site in truth["sites"].items() if site["objects"]}

    @staticmethod
    def own_names(sample):
        """Its functions, leaf first, as the target calls them."""
        return tuple(plain_name(name) for name in sample.all_names)

    def sums_of(self, profile):
        """Of each site, the values of the samples with it in their stack."""
        assert profile.sample_types == HEAP_TYPES, profile.sample_types
        sums = {name: HeapSums() for name in self.sites}
        for sample, message in zip(profile.samples, profile.message.sample):
            for name in self.sites.keys() & set(self.own_names(sample)):
                sums[name].add(message.value)
        return sums

    def wrong_callers(self, profile):
        """Stacks in which a site's caller does not come next."""
        wrong = []
        for sample in profile.samples:
            names = self.own_names(sample)
            for name in self.sites.keys() & set(names):
                after = names[names.index(name) + 1:]
                if after[:1] != (self.callers[name],):
                    wrong.append(names)
        return wrong

    def check_exact(self, profile):
        """For a period of 1: every block is there."""
        sums = self.sums_of(profile)
        assert sums == self.sites, f"profile {sums}\ntruth {self.sites}"

    def check_sampled(self, profile):
        """No sum is further from the truth than chance takes it."""
        period = profile.message.period
        sums = self.sums_of(profile)
        for name, truth in self.sites.items():
            said = sums[name]
            for objects, space in (("alloc_objects", "alloc_space"),
                                   ("inuse_objects", "inuse_space")):
                count = getattr(truth, objects)
                if not count:
                    assert getattr(said, objects) == 0, (name, said)
                    continue
                blocks_off = chance_bound(count, getattr(truth, space) / count,
                                          period)
                for field in (objects, space):
                    true = getattr(truth, field)
                    # Of each sample the fraction is cut off.
                    bound = blocks_off * true / count + said.samples
                    assert abs(getattr(said, field) - true) <= bound, (
                        f"{name} {field}: {getattr(said, field)}, in truth "
                        f"{true}, which chance moves by {bound:.0f} at most")


def chance_bound(count, block_bytes, period):
    """How far what sampling makes of `count` blocks may be from them.

    Exceeded by chance less than once in 100,000 (Bernstein). A site's blocks
    are taken to be of their mean size.
    """
    chance = -math.expm1(-block_bytes / period)
    exponent = math.log(2 * 100_000)
    variance = count * chance * (1 - chance)
    sampled = exponent / 3 + math.sqrt(
        exponent**2 / 9 + 2 * exponent * variance)
    return sampled / chance
