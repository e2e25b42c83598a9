"""Programs as the distribution ships them, under load, as they are."""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

import stack_truth
from pprof_client import free_port
from target_process import TARGETS_DIR
from waiting import wait_until

HZ = 999
LIBC = os.path.realpath("/lib/x86_64-linux-gnu/libc.so.6")
POSTGRES_BIN = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))


def check(samples, name, minimum, complete_share=0.99, named_share=0.6):
    """Whole stacks, named as far as stripped programs can be."""
    total = sum(sample.count for sample in samples)
    assert total >= minimum, f"{name}: only {total} samples"
    complete = sum(s.count for s in samples if stack_truth.reaches_root(s))
    frames = sum(len(s.user) * s.count for s in samples)
    named = sum(sum(map(bool, s.names)) * s.count for s in samples)
    wrong = sorted((s for s in samples if not stack_truth.reaches_root(s)),
                   key=lambda s: -s.count)[:5]
    print(f"{name}: {total} samples, {complete / total:.2%} complete, frames "
          f"{named / frames:.2%} named")
    assert complete >= complete_share * total, (
        complete, total,
        [(s.count, stack_truth.compress(s.names)) for s in wrong])
    assert named >= named_share * frames, (named, frames)


def check_places(client, profile, pid, paths):
    """Frames without a name say where they are; `why` says what is missing.

    `paths`: files that are stripped as far as the distribution strips.
    """
    files = {sample_file for sample_file, _, _ in frames_of(profile)}
    assert set(map(str, paths)) <= files
    for file, offset, named in frames_of(profile):
        if named or not file.startswith("/"):
            continue
        # "[module+0xoffset]" can be made of it.
        assert 0 < offset < os.path.getsize(file), (file, hex(offset))
    explanation = json.loads(client.get("why", pid=pid, format="json").text)
    modules = {module["path"]: module for module in explanation["modules"]}
    for path in map(str, paths):
        symbols = modules[path]["symbols"]
        assert symbols["dynsym"]
        if os.path.exists("/usr/lib/debug/.build-id/"
                          f"{modules[path]['build_id'][:2]}/"
                          f"{modules[path]['build_id'][2:]}.debug"):
            assert symbols["dwarf"]
            continue
        assert {"DWARF", "symbol table"} <= set(modules[path]["missing"])
        assert any("apt-get install" in advice["command"]
                   for advice in modules[path]["advice"])


def frames_of(profile):
    """(file, offset in it, whether it has a name) of all user frames."""
    return {(loc.mapping_file, loc.file_offset, bool(loc.name))
            for sample in profile.samples for loc in sample.user}


def need(program):
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed")
    return path


def test_redis_under_load(client, targets, tmp_path):
    server = need("redis-server")
    benchmark = need("redis-benchmark")
    port = free_port()
    redis = targets.run([server, "--port", port, "--bind", "127.0.0.1",
                         "--save", "", "--dir", tmp_path], ready=False)
    wait_until(lambda: "Ready to accept connections" in redis.output(),
               "redis is ready")
    load = targets.run([benchmark, "-p", port, "-t", "set,get,lpush",
                        "-n", "100000000", "-q"], ready=False)
    wait_until(lambda: redis.cpu_ns() > 200_000_000, "redis is loaded",
               seconds=60)
    of_server, of_load = client.profiles([redis.pid, load.pid], seconds=3,
                                         hz=HZ)
    check(of_server.samples, "redis-server", 50)
    check(of_load.samples, "redis-benchmark", 30, named_share=0.5)
    check_places(client, of_server, redis.pid,
                 [os.path.realpath(server), LIBC])


def test_python_and_node(client, targets):
    python = targets.run(["/usr/bin/python3", TARGETS_DIR / "burn_python.py",
                          "--seconds=60"])
    node = targets.run([need("node"), TARGETS_DIR / "burn_node.js",
                        "--seconds=60"])
    of_python, of_node = client.profiles([python.pid, node.pid], seconds=3,
                                         hz=HZ)
    check(of_python.samples, "python3", 50)
    check_places(client, of_python, python.pid,
                 [os.path.realpath("/usr/bin/python3")])
    # JavaScript itself has no names without --perf-basic-prof.
    check(of_node.samples, "node", 50, named_share=0.5)


def test_node_names_its_functions_by_a_perf_map(client, targets):
    node = targets.run([need("node"), "--perf-basic-prof",
                        "--interpreted-frames-native-stack",
                        TARGETS_DIR / "burn_node.js", "--seconds=60"])
    try:
        profile = client.profile(node.pid, seconds=3, hz=HZ)
        check(profile.samples, "node --perf-basic-prof", 50, named_share=0.9)
        assert any("leafA" in name for sample in profile.samples
                   for name in sample.names)
    finally:
        pathlib.Path(f"/tmp/perf-{node.pid}.map").unlink(missing_ok=True)


@pytest.fixture
def postgres(targets):
    """A database in a directory of its own, as user postgres."""
    if not POSTGRES_BIN:
        pytest.skip("postgres is not installed")
    programs = POSTGRES_BIN[-1]
    directory = pathlib.Path(tempfile.mkdtemp(prefix="pprofd-live-pg-"))
    shutil.chown(directory, "postgres", "postgres")
    as_postgres = ["runuser", "-u", "postgres", "--"]
    data = directory / "data"
    environment = {"PATH": "/usr/sbin:/usr/bin:/bin", "LC_ALL": "C"}

    def run(*command):
        subprocess.run([*as_postgres, *map(str, command)], check=True,
                       env=environment, cwd=directory, capture_output=True,
                       timeout=60)
    run(programs / "initdb", "-D", data, "-A", "trust", "--no-sync")
    run(programs / "pg_ctl", "-D", data, "-w", "-l", directory / "log",
        "-o", f"-c listen_addresses='' -k {directory} -c fsync=off", "start")
    try:
        run(programs / "pgbench", "-i", "-h", directory, "postgres")
        targets.run([*as_postgres, programs / "pgbench", "-S", "-c", "2",
                     "-T", "60", "-h", directory, "postgres"], ready=False,
                    env=environment, cwd=directory)
        yield
    finally:
        targets.kill_all()
        run(programs / "pg_ctl", "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(directory)


@pytest.mark.usefixtures("postgres")
def test_postgres_under_load(client):
    def busy():
        return [s for s in client.profile(seconds=1).samples
                if s.labels["comm"] == "postgres"]
    wait_until(busy, "postgres is loaded", seconds=20)
    profile = client.profile(seconds=3, hz=HZ)
    check(profile.where(lambda s: s.labels["comm"] == "postgres"),
          "postgres", 50)


def test_a_compiler_at_work(client, targets, tmp_path):
    source = tmp_path / "big.cc"
    source.write_text("#include <algorithm>\n#include <functional>\n"
                      "#include <map>\n#include <regex>\n#include <string>\n"
                      "int main() { return std::regex_match(std::string(),"
                      " std::regex(\"a\")); }\n", encoding="ascii")
    script = f"while :; do {need('g++')} -O2 -c {source} -o /dev/null; done"
    shell = targets.run(["/bin/sh", "-c", script], ready=False,
                        start_new_session=True)
    try:
        profile = client.profile(seconds=5, hz=HZ)
    finally:
        os.killpg(shell.process.pid, 9)
    check(profile.where(lambda s: s.labels["comm"] == "cc1plus"), "cc1plus",
          50, complete_share=0.97, named_share=0.0)
