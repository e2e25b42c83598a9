"""What is in a profile: encoding, mappings, addresses, labels, and what
`go tool pprof` makes of it."""
import collections
import os
import pathlib
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request

import pytest

import elf_names
import pprof_profile
from pprof_client import free_port
from target_process import TARGETS_DIR
from waiting import wait_until

SOURCE_DIR = pathlib.Path(__file__).resolve().parents[1] / "targets" / "burn"


@pytest.fixture(scope="module")
def kept():
    """The module's profiles by name; made when first asked for."""
    return {}


@pytest.fixture
def measured(kept, client, targets):
    """Two seconds at 100 Hz of burn in all modes, and where it was mapped."""
    if "all" not in kept:
        target = targets.burn("burn_pie", mode="all")
        asked_ns = time.time_ns()
        profile = client.profile(target.pid, seconds=2, hz=100)
        with open(f"/proc/{target.pid}/maps", encoding="utf-8") as file:
            maps = file.read()
        kept["all"] = (profile, maps, asked_ns, time.time_ns())
    return kept["all"]


@pytest.fixture
def profile(measured):
    return measured[0]


@pytest.fixture
def saved(profile, tmp_path):
    path = tmp_path / "cpu.pb.gz"
    path.write_bytes(profile.body)
    return path


def raw_samples(go_pprof, *files):
    """The samples of `pprof -raw`, as sorted (values, addresses)."""
    text = go_pprof.output("-raw", *files)
    head, rest = text.split("\nLocations\n")
    locations = dict(re.findall(r"^\s+(\d+): (0x[0-9a-f]+)", rest, re.M))
    samples = []
    for line in head.splitlines():
        match = re.fullmatch(r"\s+(\d+)\s+(\d+): ([\d ]*)", line)
        if match:
            samples.append((int(match[1]), int(match[2]),
                            tuple(locations[i] for i in match[3].split())))
    return sorted(samples)


def test_strings_are_unique_utf8_and_start_empty(profile):
    assert profile.strings[0] == ""
    repeated = [s for s, n in collections.Counter(profile.strings).items()
                if n > 1]
    assert not repeated


def test_ids_count_up_and_every_reference_resolves(profile):
    message = profile.message
    for table in (message.mapping, message.location, message.function):
        assert [row.id for row in table] == list(range(1, len(table) + 1))
    for sample in message.sample:
        assert all(0 < i <= len(message.location) for i in sample.location_id)
        assert len(sample.value) == len(message.sample_type)
    for location in message.location:
        assert 0 < location.mapping_id <= len(message.mapping)
        assert all(0 < line.function_id <= len(message.function)
                   for line in location.line)


def test_equal_stacks_are_one_sample(profile):
    stacks = [tuple(sample.location_id) for sample in profile.message.sample]
    assert len(stacks) == len(set(stacks))


def test_types_and_period_are_those_of_go(profile, saved, go_pprof):
    assert profile.sample_types == [("samples", "count"),
                                    ("cpu", "nanoseconds")]
    text = go_pprof.output("-raw", saved)
    assert "PeriodType: cpu nanoseconds" in text
    assert "Period: 10000000\n" in text
    assert "samples/count cpu/nanoseconds" in text
    assert profile.count > 0
    for sample in profile.samples:
        assert sample.ns == sample.count * 10_000_000


def test_first_mapping_is_the_text_of_the_executable(measured):
    profile, maps, _, _ = measured
    main = profile.message.mapping[0]
    exe = str(TARGETS_DIR / "burn_pie")
    assert profile.strings[main.filename] == exe
    start, limit, offset = next(
        re.match(r"([0-9a-f]+)-([0-9a-f]+) r-xp ([0-9a-f]+)", line).groups()
        for line in maps.splitlines() if " r-xp " in line and exe in line)
    assert (main.memory_start, main.memory_limit, main.file_offset) == (
        int(start, 16), int(limit, 16), int(offset, 16))


def test_every_mapping_with_locations_is_said_to_have_functions(profile):
    used = {location.mapping_id for location in profile.message.location}
    for mapping in profile.message.mapping:
        if mapping.id in used:
            assert mapping.has_functions, profile.strings[mapping.filename]
    main = profile.message.mapping[0]
    assert (main.has_filenames and main.has_line_numbers
            and main.has_inline_frames)


def test_every_address_lies_in_its_mapping(profile):
    mappings = {m.id: m for m in profile.message.mapping}
    for location in profile.message.location:
        mapping = mappings[location.mapping_id]
        assert location.address != 0
        if not profile.strings[mapping.filename].startswith("["):
            assert (mapping.memory_start <= location.address
                    < mapping.memory_limit)


def instructions(path):
    """{address: mnemonic} of a file's code, as objdump reads it."""
    listing = subprocess.run(
        ["objdump", "-d", "--no-show-raw-insn", path], check=True,
        capture_output=True, text=True).stdout
    return {int(address, 16): mnemonic for address, mnemonic in
            re.findall(r"^\s+([0-9a-f]+):\t(\S+)", listing, re.M)}


def test_caller_frames_lie_inside_call_instructions(client, targets):
    target = targets.burn("burn_pie", mode="shares")
    profile = client.profile(target.pid, seconds=1, hz=999)
    elf = elf_names.ElfFile(TARGETS_DIR / "burn_pie")
    code = instructions(TARGETS_DIR / "burn_pie")
    starts = sorted(code)
    followers = dict(zip(starts, starts[1:]))
    callers = {elf.address_of(location.file_offset)
               for sample in profile.samples for location in sample.user[1:]
               if location.mapping_file.endswith("burn_pie")}
    for address in callers:
        # Return address minus one: the last byte of the call.
        start = max(a for a in range(address - 15, address + 1) if a in code)
        assert code[start].startswith("call"), hex(address)
        assert followers[start] == address + 1
    assert len(callers) >= 8  # hop_a, path_a, B's three, C's, rounds, main


def test_inlined_functions_are_lines_of_one_location(client, targets, tmp_path,
                                                     go_pprof):
    target = targets.burn("burn_pie", mode="inlined")
    profile = client.profile(target.pid, seconds=1, hz=999)
    truth = target.stop()["scenarios"][0]["inlined"]
    hot = [sample for sample in profile.samples if sample.user
           and sample.user[0].name == "burn::RunInlined"]
    count = 0
    for sample in hot:
        lines = sample.user[0].lines
        names = [line.name for line in lines]
        if names[0] != "burn::InlineLeaf":
            continue
        count += sample.count
        assert names == ["burn::InlineLeaf", "burn::InlineMiddle",
                         "burn::RunInlined"]
        for line, function in zip(lines, truth):
            assert function["first_line"] <= line.line <= function["last_line"]
            assert line.file == str(SOURCE_DIR / "call_scenarios.cc")
    assert count >= 0.95 * profile.count
    saved = tmp_path / "inlined.pb.gz"
    saved.write_bytes(profile.body)
    assert "burn::InlineLeaf (inline)" in go_pprof.output("-traces", saved)
    folded = go_pprof.output("-noinlines", "-top", saved)
    assert "InlineLeaf" not in folded and "burn::RunInlined" in folded


def test_names_are_short_and_full_ones_can_be_had(client, targets, profile,
                                                  saved, go_pprof):
    top = go_pprof.output("-top", saved)
    assert "burn::HopB" in top and "burn::HopB(" not in top
    system_names = {line.name: line.system_name for sample in profile.samples
                    for location in sample.locations
                    for line in location.lines}
    assert system_names["burn::HopB"] == "_ZN4burn4HopBEm"
    target = targets.burn("burn_pie", mode="b")
    full = client.profile(target.pid, seconds=1, demangle="full")
    names = {name for sample in full.samples for name in sample.names}
    assert "burn::HopB(unsigned long)" in names
    mangled = client.profile(target.pid, seconds=1, demangle="none")
    names = {name for sample in mangled.samples for name in sample.names}
    assert "_ZN4burn4HopBEm" in names


def test_full_names_on_the_side_of_the_client(saved, go_pprof):
    top = go_pprof.output("-symbolize=remote:demangle=full", "-top", saved)
    assert "burn::HopB(unsigned long)" in top


def test_times_are_those_of_the_measurement(measured):
    profile, _, asked_ns, answered_ns = measured
    assert asked_ns <= profile.start_ns <= answered_ns
    assert profile.end_ns <= answered_ns
    assert abs(profile.message.duration_nanos - 2e9) <= 0.05 * 2e9


def test_a_wrong_sample_index_lists_the_right_ones(saved, go_pprof):
    done = go_pprof.run("-top", "-sample_index=bogus", saved)
    assert done.returncode != 0
    assert "samples" in done.stderr and "cpu" in done.stderr


def test_profiles_of_two_processes_of_one_file_merge(client, targets,
                                                     tmp_path, go_pprof):
    pair = [targets.burn("burn_pie", mode="a") for _ in range(2)]
    files = []
    for index, profile in enumerate(client.profiles(
            [target.pid for target in pair], seconds=2)):
        files.append(tmp_path / f"{index}.pb.gz")
        files[-1].write_bytes(profile.body)
    text = go_pprof.output("-raw", *files)
    mappings = re.findall(r"^\d+: 0x\S+ \S*burn_pie", text, re.M)
    assert len(mappings) == 1, text[-1500:]
    hops = re.findall(r"^\s+\d+: 0x[0-9a-f]+ M=\d+ (hop_a|path_a) ", text,
                      re.M)
    assert sorted(hops) == ["hop_a", "path_a"]


def test_profiles_can_be_compared(client, targets, tmp_path, saved, go_pprof):
    target = targets.burn("burn_pie", mode="shares")
    other = tmp_path / "other.pb.gz"
    other.write_bytes(client.profile(target.pid, seconds=1, hz=100).body)
    for option in ("-base", "-diff_base"):
        go_pprof.output("-top", f"{option}={saved}", other)
    go_pprof.output("-top", "-normalize", f"-base={saved}", other)


def test_labels_are_those_asked_for(client, targets, tmp_path, go_pprof):
    target = targets.burn("burn_pie", mode="shares")
    plain = client.profile(target.pid, seconds=1)
    assert not any(sample.labels for sample in plain.samples)
    labelled = client.profile(target.pid, seconds=1, hz=999,
                              labels="tid,comm,cpu,pid")
    for sample in labelled.samples:
        assert sample.labels["tid"] == sample.labels["pid"] == target.pid
        assert sample.labels["comm"] == "burn_pie"
        assert 0 <= sample.labels["cpu"] < os.cpu_count()
    saved = tmp_path / "labelled.pb.gz"
    saved.write_bytes(labelled.body)
    focused = go_pprof.output("-top", f"-tagfocus=tid={target.pid}", saved)
    assert "leaf_a" in focused
    assert "leaf_a" not in go_pprof.output("-top", "-tagignore=comm=burn_pie",
                                           saved)
    assert "burn_pie" in go_pprof.output("-peek=main$", "-tagroot=comm", saved)
    tags = go_pprof.output("-tags", saved)
    for cpu in {sample.labels["cpu"] for sample in labelled.samples}:
        assert re.search(rf"\b{cpu}\b", tags[tags.index("cpu:"):])


def test_one_thread_can_be_asked_for(client, targets):
    target = targets.start("churn", "60")
    threads = sorted(map(int, os.listdir(f"/proc/{target.pid}/task")))
    spinner = threads[-1]  # started last
    profile = client.profile(target.pid, seconds=1, hz=999, tid=spinner,
                             labels="tid")
    assert profile.count > 0
    assert {sample.labels["tid"] for sample in profile.samples} == {spinner}
    assert all("churn_map" not in sample.names for sample in profile.samples)


def test_source_lines_disassembly_and_graphs(saved, go_pprof):
    listing = go_pprof.output("-list=burn::HopB", saved)
    assert "call_scenarios.cc" in listing and "leaf_b(rounds)" in listing
    if "1.19" not in go_pprof.go:
        assert "call" in go_pprof.output("-disasm=leaf_b|HopB", saved)
    graph = go_pprof.output("-svg", "-output=/dev/stdout", saved)
    assert "<svg" in graph


def page(url):
    """What the viewer answers, or None while it does not listen yet."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.read().decode()
    except urllib.error.URLError:
        return None


def test_the_web_view_opens(saved, go_pprof):
    address = f"127.0.0.1:{free_port()}"
    server = subprocess.Popen(
        [go_pprof.go, "tool", "pprof", "-no_browser", f"-http={address}",
         str(saved)], env=go_pprof.environment, stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        for view in ("flamegraph", "top", "peek?f=leaf_a"):
            text = wait_until(lambda: page(f"http://{address}/ui/{view}"),
                              "the viewer answers", seconds=30)
            assert "leaf_a" in text
    finally:
        # `go tool` runs the viewer as its child: end the session of both.
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def test_a_rewritten_profile_has_the_same_samples(saved, go_pprof, tmp_path):
    copy = tmp_path / "copy.pb.gz"
    go_pprof.output("-proto", f"-output={copy}", saved)
    assert raw_samples(go_pprof, copy) == raw_samples(go_pprof, saved)


def test_there_are_no_unknown_fields(profile):
    decoded = subprocess.run(
        ["protoc", "--decode=perftools.profiles.Profile",
         f"--proto_path={pprof_profile.PROTO_DIR}", "profile.proto"],
        input=profile.raw, check=True, capture_output=True).stdout
    assert not re.findall(rb"^\s*\d+:", decoded, re.M)
    assert decoded.count(b'string_table: ""\n') == 1


def test_kernel_frames_have_names_and_the_kernels_mapping(profile):
    kernel = [location for sample in profile.samples
              for location in sample.locations if location.address >> 63]
    assert kernel
    for location in kernel:
        assert location.mapping_file == pprof_profile.KERNEL_MAPPING
    assert sum(bool(loc.name) for loc in kernel) >= 0.99 * len(kernel)


def test_addresses_stay_the_same_between_scrapes(client, targets):
    target = targets.burn("burn_pie", mode="shares")
    addresses = []
    for _ in range(2):
        profile = client.profile(target.pid, seconds=1, hz=999)
        addresses.append({loc.name: loc.address for sample in profile.samples
                          for loc in sample.user[1:]
                          if loc.name in ("hop_a", "path_a", "burn::HopB",
                                          "burn::MiddleB", "burn::PathB")})
    assert len(addresses[0]) == 5
    assert addresses[0] == addresses[1]


def test_a_profile_of_the_host_is_small_and_labelled(client, targets):
    running = [targets.burn("burn_pie", mode="all") for _ in range(3)]
    profile = client.profile(seconds=5)
    assert len(profile.raw) < 4 << 20
    assert len(profile.samples) < 16_000
    pids = {sample.labels["pid"] for sample in profile.samples}
    assert {target.pid for target in running} <= pids
    assert all("comm" in sample.labels for sample in profile.samples)


def test_comments_say_where_the_profile_is_from(profile):
    text = "\n".join(profile.comments)
    assert "comm=burn_pie" in text and "exe=" in text
    assert not text.startswith("executableInfo=")
