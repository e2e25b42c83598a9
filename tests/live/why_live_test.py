"""/debug/pprof/why: what pprofd says of where rows and names come from."""
import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from contract_live_test import DEAD_PID, check_error
from target_process import TARGETS_DIR

MODULE_KEYS = {"path", "build_id", "deleted", "problem", "samples",
               "cut_samples", "unwind",
               "symbols", "package", "missing", "advice"}


def explain(client, pid):
    reply = client.get("why", pid=pid, format="json")
    assert reply.status == 200, reply.text
    assert reply.headers["Content-Type"] == "application/json"
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    return json.loads(reply.text)


def module_of(explanation, path):
    found = [module for module in explanation["modules"]
             if module["path"] == str(path)]
    assert len(found) == 1, [m["path"] for m in explanation["modules"]]
    return found[0]


def mapped_files(pid):
    """Paths that /proc/PID/maps shows executable."""
    lines = pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines()
    fields = [line.split(maxsplit=5) for line in lines]
    return {f[5] for f in fields if len(f) == 6 and "x" in f[1]
            and f[5].startswith("/")}


def commands(module):
    return [advice["command"] for advice in module["advice"]]


def test_every_executable_file_is_explained(client, targets):
    target = targets.burn("burn_pie")
    client.profile(target.pid, seconds=1)
    explanation = explain(client, target.pid)
    assert explanation["pid"] == target.pid
    assert explanation["modules_left_out"] == 0
    paths = {module["path"] for module in explanation["modules"]}
    assert paths == mapped_files(target.pid) | {"[vdso]"}
    for module in explanation["modules"]:
        assert set(module) == MODULE_KEYS
        assert module["symbols"]["known"] and module["symbols"]["attempts"]
        assert module["unwind"]["state"] in ("built", "not_built")
        assert module["unwind"]["eh_frame_functions"] > 0
    assert explanation["stacks"]["samples"] > 0
    assert explanation["stacks"]["truncated"] == sum(
        cut["samples"] for cut in explanation["stacks"]["cuts"])
    assert explanation["kernel"]["has_names"]
    itself = module_of(explanation, TARGETS_DIR / "burn_pie")
    assert itself["symbols"]["dwarf"] and itself["symbols"]["in_use"]
    assert itself["unwind"]["state"] == "built"
    assert itself["unwind"]["rows"] > 100
    assert itself["samples"] > 0
    assert itself["missing"] == [] and itself["advice"] == []


def test_a_stripped_program_lacks_names_but_no_rows(client, targets):
    target = targets.burn("burn_nameless")
    client.profile(target.pid, seconds=1)
    module = module_of(explain(client, target.pid),
                       TARGETS_DIR / "burn_nameless")
    build_id = module["build_id"]
    assert module["missing"] == ["DWARF", "symbol table"]
    assert module["unwind"]["state"] == "built"
    assert module["unwind"]["rows"] > 100
    assert module["package"] == ""
    texts = [advice["text"] for advice in module["advice"]]
    assert any(f".build-id/{build_id[:2]}/{build_id[2:]}.debug" in text
               for text in texts), texts
    page = client.get("why", pid=target.pid).text
    assert "DWARF, symbol table" in page and build_id in page


def test_rows_may_come_from_debug_frame(client, targets):
    target = targets.start("burn_c_debug_frame", "--seconds=60")
    client.profile(target.pid, seconds=1)
    module = module_of(explain(client, target.pid),
                       TARGETS_DIR / "burn_c_debug_frame")
    assert module["unwind"]["state"] == "built"
    assert module["unwind"]["debug_frame_functions"] > 0


def test_code_without_rows_is_told_although_start_code_has_some(
        client, targets, tmp_path):
    source = tmp_path / "norows.c"
    source.write_text(
        "static int spin(int n) { volatile int s = 0;"
        " for (int i = 0; i < n; i++) s += i; return s; }\n"
        "int main(void) { for (;;) spin(100000); }\n", encoding="ascii")
    path = tmp_path / "norows"
    subprocess.run(["gcc", "-O0", "-fomit-frame-pointer", "-s",
                    "-fno-asynchronous-unwind-tables", "-fno-unwind-tables",
                    source, "-o", path], check=True)
    target = targets.run([path], ready=False)
    client.profile(target.pid, seconds=2, hz=199)
    explanation = explain(client, target.pid)
    module = module_of(explanation, path)
    assert module["unwind"]["state"] == "built"
    assert module["cut_samples"] > 0
    assert "unwind rows" in module["missing"]
    assert any("-fasynchronous-unwind-tables" in advice["text"]
               for advice in module["advice"])
    assert {"reason": "no unwind rows", "module": str(path),
            "samples": module["cut_samples"]} in explanation["stacks"]["cuts"]


def test_a_program_deleted_since_says_so(client, targets, tmp_path):
    path = tmp_path / "gone"
    shutil.copy(TARGETS_DIR / "burn_nameless", path)
    shutil.copy(TARGETS_DIR / "libhop.so", tmp_path)
    target = targets.burn(path=path)
    path.unlink()
    client.profile(target.pid, seconds=1)
    module = module_of(explain(client, target.pid), path)
    assert module["deleted"] and module["unwind"]["state"] == "built"
    assert any("restart" in advice["text"] for advice in module["advice"])


@pytest.mark.skipif(not os.path.exists("/var/lib/dpkg/info"),
                    reason="not a Debian system")
def test_debians_python_names_its_package(client, targets):
    target = targets.run(["/usr/bin/python3", TARGETS_DIR / "burn_python.py",
                          "--seconds=60"])
    client.profile(target.pid, seconds=1)
    explanation = explain(client, target.pid)
    assert "Debian" in explanation["system"]
    path = os.path.realpath("/usr/bin/python3")
    module = module_of(explanation, path)
    assert module["package"].startswith("python3.")
    assert module["unwind"]["rows"] > 10_000
    if not module["symbols"]["dwarf"]:
        assert "DWARF" in module["missing"]
        assert re.fullmatch(r"apt-get install python3\.\d+-dbg",
                            commands(module)[0]), module["advice"]
    expat = [m for m in explanation["modules"] if m["package"] == "libexpat1"]
    if expat and not expat[0]["symbols"]["dwarf"]:
        assert "apt-get install libexpat1-dbgsym" in commands(expat[0])
        assert f"find-dbgsym-packages {target.pid}" in commands(expat[0])


def test_code_without_a_file_asks_for_a_perf_map(client, targets):
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    target = targets.run([node, TARGETS_DIR / "burn_node.js", "--seconds=60"])
    client.profile(target.pid, seconds=2, hz=499)
    jit = explain(client, target.pid)["jit"]
    assert jit["mappings"] > 0 and jit["bytes"] > 0 and not jit["has_map"]
    assert jit["map_path"] == f"/tmp/perf-{target.pid}.map"
    assert "--perf-basic-prof" in jit["advice"][0]["command"]
    pathlib.Path(jit["map_path"]).write_text("1000 10 here\n",
                                             encoding="ascii")
    try:
        jit = explain(client, target.pid)["jit"]
        assert jit["has_map"] and jit["advice"] == []
        assert jit["attempts"] == ["perf map: 1 functions"]
    finally:
        os.unlink(jit["map_path"])


def test_a_jitdump_is_found_and_counted(client, targets, tmp_path):
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    target = targets.run([node, "--perf-prof", TARGETS_DIR / "burn_node.js",
                          "--seconds=60"], cwd=tmp_path)
    client.profile(target.pid, seconds=2, hz=499)
    explanation = explain(client, target.pid)
    jit = explanation["jit"]
    assert jit["has_dump"] and jit["dump_problem"] == ""
    assert jit["dump_path"] == str(tmp_path / f"jit-{target.pid}.dump")
    assert jit["advice"] == []
    counted = re.fullmatch(r"jitdump: (\d+) functions, (\d+) with lines",
                           jit["attempts"][0])
    assert counted and int(counted[1]) > int(counted[2]) > 0, jit["attempts"]
    assert jit["dump_path"] not in {module["path"] for module
                                    in explanation["modules"]}
    page = client.get("why", pid=target.pid).text
    assert f"Names and lines: {jit['dump_path']}" in page


def test_a_file_that_no_sample_has_met_is_examined(client, targets, tmp_path):
    """A library mapped by a process that does nothing."""
    library = tmp_path / "unmet.so"
    shutil.copy(TARGETS_DIR / "hop_plugin.so", library)
    target = targets.run(
        ["/usr/bin/python3", "-c",
         f"import ctypes, os, time; ctypes.CDLL({str(library)!r}); "
         "print('ready', os.getpid(), flush=True); time.sleep(60)"])
    module = module_of(explain(client, target.pid), library)
    assert module["unwind"]["state"] == "not_built"
    assert module["unwind"]["eh_frame_functions"] > 0
    assert module["symbols"]["known"] and module["symbols"]["dwarf"]
    assert not module["symbols"]["in_use"]
    assert module["build_id"] and module["missing"] == []


def test_page_and_index(client, targets):
    target = targets.burn("burn_pie")
    by_path = client.request(f"/pid/{target.pid}/debug/pprof/why")
    by_query = client.get("why", pid=target.pid)
    for reply in (by_path, by_query):
        assert reply.status == 200
        assert reply.headers["Content-Type"] == "text/html; charset=utf-8"
        assert str(TARGETS_DIR / "burn_pie") in reply.text
    assert f"why?debug=1&pid={target.pid}" in client.get(
        "", pid=target.pid).text
    head = client.request(f"/debug/pprof/why?pid={target.pid}", method="HEAD")
    assert head.status == 200 and head.body == b""


def test_a_kernel_thread_has_no_files(client):
    explanation = explain(client, 2)
    assert explanation["kernel_thread"] and explanation["modules"] == []


def test_wrong_requests_are_told_apart(client):
    check_error(client.get("why"), 400, "pid parameter is required")
    check_error(client.get("why", pid="x"), 400, 'invalid value for "pid"')
    check_error(client.get("why", pid=DEAD_PID), 404,
                f"no such process: {DEAD_PID}")
    check_error(client.get("why", pid=2, format="xml"), 400,
                'invalid value for "format" - must be html or json')
