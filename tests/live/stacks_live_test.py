"""Stacks and shares of programs that know their own, in every build of them."""
import itertools
import os

import pytest

import elf_names
import stack_truth
from target_process import CpuRecorder, LIFETIME_SECONDS, TARGETS_DIR

HZ = 999
SECONDS = 4
MOST_SECONDS = 32
ENOUGH_SAMPLES = 500
AT_ONCE = 4  # targets that run side by side

BURN_VARIANTS = (
    "burn_pie", "burn_nonpie", "burn_static", "burn_static_pie", "burn_o3",
    "burn_nodebug", "burn_fp", "burn_debuglink", "burn_clang",
    "burn_dwarf4_compressed",
)
SHARE_VARIANTS = ("burn_c_debug_frame", "burn_c_musl", "burn_c_musl_static",
                  "burn_rust", "burn_go", "burn_go_stripped")


def built(name):
    return os.path.exists(TARGETS_DIR / name)


class Measured:
    """Verdicts of variants, each measured once, several at a time."""

    def __init__(self, client, targets, start, names):
        self.results = {}
        names = [name for name in names if built(name)]
        for first in range(0, len(names), AT_ONCE):
            self._measure(client, targets, start, names[first:first + AT_ONCE])

    def _measure(self, client, targets, start, names):
        running = [start(targets, name) for name in names]
        seconds = SECONDS
        while True:
            profiles = client.profiles([target.pid for target in running],
                                       seconds=seconds, hz=HZ)
            # On a busy machine the programs run little: look longer.
            if seconds >= MOST_SECONDS or min(
                    profile.count for profile in profiles) >= ENOUGH_SAMPLES:
                break
            seconds *= 2
        for name, target, profile in zip(names, running, profiles):
            truth = stack_truth.StackTruth(target.stop())
            self.results[name] = (truth, profile)

    def __getitem__(self, name):
        if name not in self.results:
            pytest.skip(f"{name} was not built")
        return self.results[name]


@pytest.fixture(scope="module")
def measured():
    """The module's measurements by name; made when first asked for."""
    return {}


@pytest.fixture
def all_modes(measured, client, targets):
    if "all" not in measured:
        measured["all"] = Measured(
            client, targets, lambda started, name: started.burn(name),
            BURN_VARIANTS + tuple(variant for variant, _ in TWINS))
    return measured["all"]


@pytest.fixture
def shares(measured, client, targets):
    def start(started, name):
        if name in SHARE_VARIANTS:
            return started.start(name, f"--seconds={LIFETIME_SECONDS}")
        return started.burn(name, mode="shares")
    if "shares" not in measured:
        measured["shares"] = Measured(
            client, targets, start,
            ("burn_pie", "burn_static") + SHARE_VARIANTS)
    return measured["shares"]


def check_stacks(verdict, minimum_samples=200):
    assert verdict.samples >= minimum_samples, verdict
    assert verdict.complete_share >= 0.99, verdict
    assert verdict.exact_share >= 0.98, verdict


@pytest.mark.parametrize("variant", BURN_VARIANTS)
def test_every_scenario_has_complete_and_exact_stacks(all_modes, variant):
    truth, profile = all_modes[variant]
    verdict = truth.judge(profile)
    print(variant, verdict)
    check_stacks(verdict)
    missing = [s["name"] for s in truth.scenarios
               if verdict.by_scenario[s["name"]] == 0]
    assert not missing, f"no sample of {missing}: {verdict}"


@pytest.mark.parametrize("variant", ("burn_pie", "burn_nonpie", "burn_static",
                                     "burn_nodebug", "burn_o3"))
def test_nearly_every_frame_has_a_name(all_modes, variant):
    truth, profile = all_modes[variant]
    # Libraries of the distribution have no names for their local functions.
    assert truth.judge(profile).named_share >= 0.97, truth.judge(profile)
    own = [(loc.name, sample.count) for sample in profile.samples
           for loc in sample.user
           if loc.mapping_file.startswith(str(TARGETS_DIR))]
    named = sum(count for name, count in own if name)
    assert named >= 0.99 * sum(count for _, count in own)


# Stripped files and where the names of their functions can be read.
TWINS = (("burn_nameless", "burn_pie"), ("burn_stripped", "burn_exported"))


@pytest.mark.parametrize("variant, twin", TWINS)
def test_programs_without_names_are_unwound_all_the_same(all_modes, variant,
                                                         twin):
    truth, profile = all_modes[variant]
    elf = elf_names.ElfFile(TARGETS_DIR / twin)

    def names_of(sample):
        names = []
        for location in sample.user:
            is_own = location.mapping_file.endswith(variant)
            address = elf.address_of(location.file_offset) if is_own else None
            names.append(location.name if address is None
                         else elf.function_at(address))
        return names
    verdict = truth.judge(profile, names_of)
    print(verdict)
    check_stacks(verdict)


def test_exported_functions_of_a_stripped_program_have_names(all_modes):
    truth, profile = all_modes["burn_stripped"]
    names = {name for sample in profile.samples for name in sample.names}
    # Cold parts of functions are not exported: exactness is the twin's test.
    missing = {s["marker"] for s in truth.scenarios} - names
    assert not missing


@pytest.mark.parametrize("variant", SHARE_VARIANTS)
def test_other_compilers_and_libraries_have_exact_stacks(shares, variant):
    truth, profile = shares[variant]
    verdict = truth.judge(profile)
    print(variant, verdict)
    check_stacks(verdict)


@pytest.mark.parametrize("variant",
                         ("burn_pie", "burn_static") + SHARE_VARIANTS)
def test_shares_are_within_sampling_error(shares, variant):
    truth, profile = shares[variant]
    truth.check_shares(truth.judge(profile))


def test_stacks_of_glibc_programs_end_where_the_kernel_entered(all_modes):
    _, profile = all_modes["burn_pie"]
    entries = {"_start", "clone3", "__clone3", "clone", "__clone"}
    in_fiber = "burn::FiberBody"
    wrong = profile.where(
        lambda sample: in_fiber not in sample.names
        and not (sample.names and (
            sample.names[-1] in entries
            or elf_names.is_entry_point(sample.user[-1]))))
    count = sum(sample.count for sample in wrong)
    assert count <= 0.01 * profile.count, [
        stack_truth.compress(sample.names) for sample in wrong[:5]]


def test_kernel_frames_stand_on_the_user_frames_that_called(client, targets):
    target = targets.burn("burn_pie", mode="syscalls")
    profile = client.profile(target.pid, seconds=2, hz=HZ)
    both = profile.where(
        lambda sample: any(loc.is_kernel for loc in sample.locations)
        and "burn::RunSyscalls" in sample.names and "main" in sample.names)
    assert sum(s.count for s in both) >= 0.8 * profile.count
    for sample in both:
        kinds = [location.is_kernel for location in sample.locations]
        assert kinds == sorted(kinds, reverse=True), sample
    named = sum(bool(loc.name) for sample in both
                for loc in sample.locations if loc.is_kernel)
    frames = sum(loc.is_kernel for s in both for loc in s.locations)
    assert named >= 0.99 * frames


def test_kernel_frames_can_be_left_out(client, targets):
    target = targets.burn("burn_pie", mode="syscalls")
    profile = client.profile(target.pid, seconds=1, hz=HZ, kernel=0)
    assert profile.count > 100
    assert not any(loc.is_kernel for sample in profile.samples
                   for loc in sample.locations)


def test_total_cpu_is_what_the_scheduler_counted(client, targets):
    target = targets.burn("burn_pie", mode="shares")
    with CpuRecorder(target) as recorder:
        profile = client.profile(target.pid, seconds=4, hz=HZ)
    measured = recorder.between(profile.start_ns, profile.end_ns)
    assert abs(profile.ns / measured - 1) <= 0.05, (profile.ns, measured)


@pytest.mark.parametrize("script, interpreter",
                         (("burn_python.py", "/usr/bin/python3"),
                          ("burn_node.js", "/usr/bin/node")))
def test_interpreters_have_complete_stacks(client, targets, script,
                                           interpreter):
    if not os.path.exists(interpreter):
        pytest.skip(f"{interpreter} is not installed")
    target = targets.run([interpreter, TARGETS_DIR / script,
                          f"--seconds={LIFETIME_SECONDS}"])
    profile = client.profile(target.pid, seconds=3, hz=HZ)
    complete = sum(sample.count for sample in profile.samples
                   if stack_truth.reaches_root(sample))
    assert profile.count > 50
    assert complete >= 0.99 * profile.count, worst_incomplete(profile)


def worst_incomplete(profile):
    wrong = sorted(profile.where(lambda s: not stack_truth.reaches_root(s)),
                   key=lambda sample: -sample.count)
    return [(sample.count, stack_truth.compress(sample.names))
            for sample in itertools.islice(wrong, 6)]
