"""What must not hurt: crowds, silence, garbage, corrupt files, churn."""
import pathlib
import random
import re
import shutil
import signal
import socket
import struct

import pytest

import pprof_profile
import stack_truth
from target_process import LIFETIME_SECONDS, TARGETS_DIR
from waiting import wait_until

HZ = 999


def resident_mib(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1024


def test_a_thousand_silent_connections_do_no_harm(daemon, client, targets):
    target = targets.burn("burn_pie", mode="a")
    before = resident_mib(daemon.pid)
    crowd = []
    try:
        for _ in range(1000):
            crowd.append(socket.create_connection(
                (client.address.hostname, client.address.port), timeout=10))
        assert resident_mib(daemon.pid) < before + 100
    finally:
        for connection in crowd:
            connection.close()

    def answered():
        return client.get("cmdline", pid=target.pid).status == 200
    wait_until(answered, "it answers after the crowd has left")


def test_a_client_that_never_reads_blocks_no_one(client, targets):
    target = targets.burn("burn_pie", mode="all")
    lazy = []
    try:
        for _ in range(20):
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            sock.connect((client.address.hostname, client.address.port))
            sock.sendall(b"GET /debug/pprof/ HTTP/1.1\r\nHost: localhost"
                         b"\r\n\r\n" * 50)
            lazy.append(sock)
        for _ in range(3):
            reply = client.get("profile", pid=target.pid, seconds=1)
            assert reply.status == 200 and reply.seconds < 5
    finally:
        for sock in lazy:
            sock.close()


@pytest.mark.parametrize("bytes_sent", (
    b"\x00\x01\x02\x03\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
    b"GET /debug/pprof/ HTTP/1.1\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
    b"POST /debug/pprof/symbol HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Length: 99999999999999999999\r\n\r\n",
    b"GET /debug/pprof/cmdline?pid=%zz%&seconds=%00 HTTP/1.1\r\n"
    b"Host: localhost\r\nConnection: close\r\n\r\n",
), ids=("binary", "short", "version", "big_header", "big_body", "escapes"))
def test_garbage_is_answered_or_closed(client, bytes_sent):
    with socket.create_connection((client.address.hostname,
                                   client.address.port), timeout=15) as sock:
        try:
            sock.sendall(bytes_sent)
            answer = sock.recv(4096)
        except ConnectionError:
            answer = b""
    assert answer == b"" or re.match(rb"HTTP/1\.[01] 4\d\d", answer), answer


def sections(path):
    """{name: (offset, size)} and where the section headers are."""
    content = pathlib.Path(path).read_bytes()
    table, = struct.unpack_from("<Q", content, 40)
    size, number, names = struct.unpack_from("<HHH", content, 58)

    def header(index):
        name, = struct.unpack_from("<I", content, table + index * size)
        offset, length = struct.unpack_from("<QQ", content,
                                            table + index * size + 24)
        return name, offset, length
    _, strings, _ = header(names)
    found = {}
    for index in range(number):
        name, offset, length = header(index)
        end = content.index(b"\0", strings + name)
        found[content[strings + name:end].decode()] = (offset, length)
    return found, table, size * number


def with_garbage(section):
    """A damager that fills one section with reproducible noise."""
    def damage(content, found, _table, _table_size):
        offset, size = found[section]
        noise = random.Random(section).randbytes(size)
        content[offset:offset + size] = noise
    return damage


def with_wild_sizes(content, _found, table, table_size):
    """Every section header points far outside of the file."""
    for start in range(table, table + table_size, 64):
        struct.pack_into("<QQ", content, start + 24, 1 << 62, (1 << 63) - 1)


def with_noise_for_headers(content, _found, table, table_size):
    content[table:table + table_size] = random.Random(1).randbytes(table_size)


def with_endless_entry(content, found, _table, _table_size):
    """The first .eh_frame entry claims 4 GiB, the table of it 2^32 rows."""
    struct.pack_into("<I", content, found[".eh_frame"][0], 0xfffffff0)
    struct.pack_into("<I", content, found[".eh_frame_hdr"][0] + 8, 0xffffffff)


def cut_before_debug_info(content, found, _table, _table_size):
    """What is loaded is there; sections and their headers are gone."""
    del content[found[".debug_info"][0]:]


DAMAGES = {
    "eh_frame": with_garbage(".eh_frame"),
    "eh_frame_hdr": with_garbage(".eh_frame_hdr"),
    "symtab": with_garbage(".symtab"),
    "strtab": with_garbage(".strtab"),
    "debug_info": with_garbage(".debug_info"),
    "debug_abbrev": with_garbage(".debug_abbrev"),
    "debug_line": with_garbage(".debug_line"),
    "debug_str": with_garbage(".debug_str"),
    "build_id": with_garbage(".note.gnu.build-id"),
    "wild_sizes": with_wild_sizes,
    "noise_for_headers": with_noise_for_headers,
    "endless_entry": with_endless_entry,
    "cut_before_debug_info": cut_before_debug_info,
}


def damaged_copy(directory, name, damage):
    path = directory / f"burn_{name}"
    content = bytearray((TARGETS_DIR / "burn_nonpie").read_bytes())
    found, table, table_size = sections(TARGETS_DIR / "burn_nonpie")
    # A build ID of its own: what is known of one copy says nothing of others.
    offset, size = found[".note.gnu.build-id"]
    content[offset + size - 20:offset + size] = (
        random.Random(name).randbytes(20))
    damage(content, found, table, table_size)
    path.write_bytes(content)
    path.chmod(0o755)
    return path


def test_corrupt_executables_still_get_profiles(daemon, client, targets,
                                                tmp_path):
    shutil.copy(TARGETS_DIR / "libhop.so", tmp_path / "libhop.so")
    before = resident_mib(daemon.pid)
    running = {name: targets.burn(path=damaged_copy(tmp_path, name, damage),
                                  mode="shares")
               for name, damage in DAMAGES.items()}
    profiles = client.profiles([t.pid for t in running.values()], seconds=3,
                               hz=HZ)
    for name, profile in zip(running, profiles):
        assert profile.count > 10, name
        if name in ("symtab", "strtab", "debug_info", "debug_abbrev",
                    "debug_line", "debug_str", "build_id"):
            # Names may be lost, unwinding is not.
            deep = sum(s.count for s in profile.samples if len(s.user) >= 5)
            assert deep >= 0.95 * profile.count, name
    daemon.check_alive()
    assert resident_mib(daemon.pid) < before + 300


def test_a_corrupt_file_does_not_spoil_a_good_one_of_its_build_id(
        client, targets, tmp_path):
    shutil.copy(TARGETS_DIR / "libhop.so", tmp_path / "libhop.so")
    unseen = random.Random(str(tmp_path)).randbytes(20)  # by this daemon

    def with_unseen_build_id(content, found, *_):
        offset, size = found[".note.gnu.build-id"]
        content[offset + size - 20:offset + size] = unseen

    def with_unseen_build_id_and_noise(content, found, *rest):
        with_unseen_build_id(content, found)
        with_garbage(".eh_frame")(content, found, *rest)
    bad = targets.burn(mode="shares", path=damaged_copy(
        tmp_path, "bad", with_unseen_build_id_and_noise))
    assert client.profile(bad.pid, seconds=1, hz=HZ).count > 0
    good = targets.burn(mode="shares", path=damaged_copy(
        tmp_path, "good", with_unseen_build_id))
    profile = client.profile(good.pid, seconds=2, hz=HZ)
    verdict = stack_truth.StackTruth(good.stop()).judge(profile)
    assert verdict.exact_share >= 0.98, verdict


def test_a_library_cut_short_while_it_is_read_does_no_harm(
        daemon, client, targets, tmp_path):
    plugin = tmp_path / "hop_plugin.so"
    shutil.copy(TARGETS_DIR / "hop_plugin.so", plugin)
    target = targets.run([TARGETS_DIR / "burn_pie", "--mode=plugin",
                          f"--plugin={plugin}",
                          f"--seconds={LIFETIME_SECONDS}"])
    capture = client.in_background(client.get, "profile", pid=target.pid,
                                   seconds=2, hz=HZ)
    wait_until(lambda: target.cpu_ns() > 200_000_000, "the target burns")
    with open(plugin, "r+b") as file:
        file.truncate(100)
    assert capture.result().status == 200
    daemon.check_alive()


def chain_check(profile, chain, share=0.98):
    """Samples of the chain's leaf have the whole chain on their stack."""
    of_leaf = profile.where(lambda s: chain[0] in s.names)
    good = [s for s in of_leaf if stack_truth.reaches_root(s)
            and tuple(n for n in s.names if n in chain) == chain]
    total = sum(sample.count for sample in of_leaf)
    assert total > 20
    assert sum(sample.count for sample in good) >= share * total, [
        (s.count, stack_truth.compress(s.names)) for s in of_leaf
        if s not in good][:5]


def test_stacks_are_whole_while_mappings_churn(client, targets):
    target = targets.start("churn", "60")
    profile = client.profile(target.pid, seconds=3, hz=HZ)
    chain_check(profile, ("churn_leaf", "churn_spin"))
    chain_check(profile, ("churn_map",), share=0.97)


def test_a_library_that_takes_the_place_of_another_is_told_apart(client,
                                                                 targets):
    target = targets.start("swap_libraries", "60", cwd=TARGETS_DIR)
    profile = client.profile(target.pid, seconds=4, hz=HZ)
    truth = target.stop()
    assert truth["same_address"] > 0.9 * truth["rounds"] > 10
    chain_check(profile, ("swap_leaf_a", "swap_work", "swap_main", "main"))
    chain_check(profile, ("swap_leaf_b", "swap_work", "swap_main", "main"))
    count = {letter: sum(s.count for s in profile.where(
        lambda s: f"swap_leaf_{letter}" in s.names)) for letter in "ab"}
    # Each works for the same time; a mapping kept too long would show here.
    assert 0.45 < count["a"] / (count["a"] + count["b"]) < 0.55, count


@pytest.mark.parametrize("mappings", (622, 40_000))
def test_many_mappings_do_not_cost_stacks(client, targets, mappings):
    target = targets.start("many_vmas", mappings, "60")
    reply = client.get("profile", pid=target.pid, seconds=4, hz=HZ)
    assert reply.status == 200 and reply.seconds < 8
    chain_check(pprof_profile.Profile(reply.body),
                ("vma_leaf", "vma_spin", "main"))


def test_children_between_vfork_and_exit_have_stacks(client, targets):
    target = targets.start("vfork_loop", "60")
    profile = client.profile(seconds=3, hz=HZ)
    profile.samples = profile.where(
        lambda sample: sample.labels["comm"] == "vfork_loop")
    chain_check(profile, ("vfork_child_burn", "vfork_once", "main"))
    chain_check(profile, ("vfork_parent_burn", "vfork_once", "main"))
    # Of a child that was gone before its files were read the sample says so.
    gone = "[truncated: process gone before its files were read]"
    whole = sum(s.count for s in profile.samples
                if stack_truth.reaches_root(s) or s.names[-1] == gone)
    assert whole >= 0.99 * profile.count, (target.pid, sorted(
        ((s.count, stack_truth.compress(s.names), s.names[-1:])
         for s in profile.samples if not stack_truth.reaches_root(s)),
        reverse=True)[:10])


def test_the_kernels_own_threads_of_a_process_have_no_user_half(client,
                                                                targets):
    target = targets.start("io_worker", "60", ready=False)
    wait_until(target.output, "io_worker says what it can do")
    if target.output().startswith("unsupported"):
        pytest.skip("io_uring is not allowed here")
    target.wait_until_ready()
    profile = client.profile(target.pid, seconds=2, hz=HZ, labels="thread")
    workers = profile.where(
        lambda s: s.labels["thread"].startswith("iou-wrk"))
    assert sum(s.count for s in workers) > 20
    assert [s.names for s in workers if s.names] == []


def test_a_stopped_process_can_be_asked_for(client, targets):
    target = targets.burn("burn_pie", mode="a")
    target.process.send_signal(signal.SIGSTOP)
    reply = client.get("profile", pid=target.pid, seconds=1, hz=HZ)
    assert reply.status == 200
    target.process.send_signal(signal.SIGCONT)
