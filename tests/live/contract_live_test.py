"""HTTP as Go's server speaks it, and the processes behind it."""
import http.client
import os
import re
import signal
import socket
import subprocess
import time

import pytest

import pprof_profile
import recording_proxy
from waiting import wait_until

DEAD_PID = 4194303  # pid_max of this kernel is far below, or it is unused
PLAIN_TEXT = "text/plain; charset=utf-8"


@pytest.fixture
def busy(targets):
    return targets.burn("burn_pie", mode="all")


def check_error(reply, status, body):
    """An error as `go tool pprof` wants to show it."""
    assert (reply.status, reply.text) == (status, body + "\n")
    assert reply.headers["Content-Type"] == PLAIN_TEXT
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert reply.headers["X-Go-Pprof"] == "1"
    assert reply.headers["Content-Disposition"] is None


def check_profile_headers(headers):
    assert headers["Content-Type"] == "application/octet-stream"
    assert headers["Content-Disposition"] == 'attachment; filename="profile"'
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Encoding"] is None


def status_field(pid, name):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return re.search(rf"^{name}:\s*(\S+)", file.read(), re.M).group(1)


def perf_events(pid):
    """How many perf events a process holds open."""
    found = 0
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found += "perf_event" in os.readlink(f"/proc/{pid}/fd/{name}")
        except FileNotFoundError:
            pass
    return found


def test_missing_slash_redirects(client):
    reply = client.request("/debug/pprof", method="HEAD")
    assert reply.status == 301
    assert reply.headers["Location"] == "/debug/pprof/"


def test_doubled_slash_redirects_to_the_clean_path(client):
    reply = client.request("/debug/pprof//cmdline")
    assert reply.status == 301
    assert reply.headers["Location"] == "/debug/pprof/cmdline"


def test_index_of_a_process_has_gos_words_and_its_pid_in_every_link(client,
                                                                    busy):
    reply = client.get("", pid=busy.pid)
    assert reply.status == 200
    assert reply.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "Types of profiles available:" in reply.text
    rows = re.findall(r"<tr><td>(\d+)</td><td><a href='([^']*)'>(\w+)</a>",
                      reply.text)
    names = [name for _, _, name in rows]
    assert names == sorted(names) and {"cmdline", "profile"} <= set(names)
    for link in re.findall(r"""href=["']([^"'#]*)["']""", reply.text):
        stays = "//" not in link and link not in ("/debug/pprof/",)
        assert not stays or f"pid={busy.pid}" in link, link


def test_index_of_the_host_lists_processes(client, busy):
    reply = client.get("")
    assert reply.status == 200
    assert f"pid={busy.pid}" in reply.text and "burn_pie" in reply.text


def test_names_of_processes_are_escaped_in_html(client, targets, tmp_path):
    path = tmp_path / "<b>&'x"
    path.symlink_to("/usr/bin/sleep")
    target = targets.run([path, "60"], ready=False)
    for reply in (client.get("", pid=target.pid), client.get("")):
        assert reply.status == 200
        assert "<b>&'x" not in reply.text


def test_path_form_equals_query_form(client, busy):
    by_query = client.get("profile", pid=busy.pid, seconds=1)
    by_path = client.request(f"/pid/{busy.pid}/debug/pprof/profile?seconds=1")
    for reply in (by_query, by_path):
        assert reply.status == 200
        check_profile_headers(reply.headers)
    first, second = map(pprof_profile.Profile, (by_query.body, by_path.body))
    assert first.sample_types == second.sample_types


def test_profile_takes_its_seconds_and_has_gos_headers(client, busy):
    reply = client.get("profile", pid=busy.pid, seconds=2)
    assert reply.status == 200
    assert 2.0 <= reply.seconds < 4.0
    check_profile_headers(reply.headers)
    assert reply.body[:2] == b"\x1f\x8b"


def test_odd_seconds_mean_thirty(client, busy):
    for odd in ("abc", "1.5", "0", "-1"):
        with pytest.raises(TimeoutError):
            client.get("profile", pid=busy.pid, seconds=odd, timeout=1.5)


def test_debug_does_not_turn_a_profile_into_text(client, busy):
    reply = client.get("profile", pid=busy.pid, seconds=1, debug=1)
    assert reply.status == 200 and reply.body[:2] == b"\x1f\x8b"
    check_profile_headers(reply.headers)


@pytest.mark.parametrize("name", ("nosuch", "goroutines", "Heap", "Profile",
                                  "profile/"))
def test_unknown_names_are_unknown_profiles(client, busy, name):
    check_error(client.get(name, pid=busy.pid), 404, "Unknown profile")


def test_wrong_pids_are_told_apart(client):
    for pid in ("abc", "0", "-3", "99999999"):
        check_error(client.get("profile", pid=pid, seconds=1), 400,
                    'invalid value for "pid"')
    check_error(client.get("cmdline"), 400, "pid parameter is required")


def test_a_dead_pid_is_no_such_process(client):
    check_error(client.get("profile", pid=DEAD_PID, seconds=1), 404,
                f"no such process: {DEAD_PID}")


def test_go_pprof_shows_why_there_is_no_profile(client, go_pprof):
    done = go_pprof.run(
        "-top", f"{client.base}/debug/pprof/profile?pid={DEAD_PID}&seconds=1")
    assert done.returncode != 0
    assert ("server response: 404 Not Found - no such process"
            in done.stdout + done.stderr)


@pytest.mark.parametrize("method", ("POST", "PUT", "DELETE", "OPTIONS"))
def test_other_methods_are_not_allowed(client, busy, method):
    reply = client.request(f"/debug/pprof/profile?pid={busy.pid}&seconds=1",
                           method=method)
    assert reply.status == 405
    assert reply.headers["Allow"] == "GET, HEAD"


def test_head_answers_at_once_and_measures_nothing(client, busy):
    reply = client.request(f"/debug/pprof/profile?pid={busy.pid}&seconds=30",
                           method="HEAD")
    assert reply.status == 200 and reply.seconds < 0.5
    check_profile_headers(reply.headers)


def test_parallel_profiles_of_one_process_all_succeed(client, busy):
    start = time.monotonic()
    profiles = client.profiles([busy.pid] * 3, seconds=2)
    assert time.monotonic() - start < 5
    assert all(profile.count > 0 for profile in profiles)


def test_a_client_that_leaves_ends_its_capture(daemon, client, busy):
    before = perf_events(daemon.pid)
    connection = client.connect()
    connection.request("GET", f"/debug/pprof/profile?pid={busy.pid}"
                              "&seconds=30&hz=777")
    wait_until(lambda: perf_events(daemon.pid) > before,
               "the capture opens its events")
    connection.close()
    wait_until(lambda: perf_events(daemon.pid) <= before,
               "the capture of a gone client ends", seconds=1.5)
    assert client.profile(busy.pid, seconds=1).count > 0


def test_cmdline_is_that_of_proc_without_the_last_nul(client, busy):
    reply = client.get("cmdline", pid=busy.pid)
    with open(f"/proc/{busy.pid}/cmdline", "rb") as file:
        assert reply.body == file.read()[:-1]
    assert reply.headers["Content-Type"] == PLAIN_TEXT


def test_symbol_names_addresses(client, busy):
    profile = client.profile(busy.pid, seconds=1, hz=999)
    leaf = next(location for sample in profile.samples
                for location in sample.locations
                if location.name == "leaf_a")
    question = f"0x{leaf.address:x}"
    path = f"/pid/{busy.pid}/debug/pprof/symbol"
    expected = f"num_symbols: 1\n{question} leaf_a\n"
    for reply in (client.request(path, method="POST", body=question),
                  client.request(f"{path}?{question}"),
                  client.request("/debug/pprof/symbol?"
                                 f"pid={busy.pid}&{question}")):
        assert (reply.status, reply.text) == (200, expected)


def test_symbol_never_fails(client, busy):
    for path, body in ((f"/pid/{busy.pid}/debug/pprof/symbol", "garbage+0xzz"),
                       ("/debug/pprof/symbol", "0x1234+0x5678"),
                       ("/debug/pprof/symbol", None),
                       (f"/pid/{DEAD_PID}/debug/pprof/symbol", "0x1")):
        reply = client.request(path, method="POST", body=body)
        assert reply.status == 200
        assert reply.text.startswith("num_symbols: 1\n")


def test_go_pprof_asks_once_and_never_for_symbols(client, busy, go_pprof):
    with recording_proxy.RecordingProxy(client.base) as proxy:
        done = go_pprof.run("-top", f"{proxy.base}/debug/pprof/profile?"
                                    f"pid={busy.pid}&seconds=1")
    assert done.returncode == 0, done.stderr
    assert [method for method, _ in proxy.requests] == ["GET"], proxy.requests
    for complaint in ("Local symbolization", "Main binary",
                      "binary filenames"):
        assert complaint not in done.stderr


def test_http_1_0_and_gzip_encoding_change_nothing(client, busy):
    with socket.create_connection((client.address.hostname,
                                   client.address.port), timeout=20) as sock:
        sock.sendall(b"GET /debug/pprof/profile?pid=%d&seconds=1 HTTP/1.0\r\n"
                     b"Host: localhost\r\nAccept-Encoding: gzip\r\n\r\n"
                     % busy.pid)
        answer = http.client.HTTPResponse(sock)
        answer.begin()
        assert answer.status == 200
        check_profile_headers(answer.headers)
        assert pprof_profile.Profile(answer.read()).count > 0


def test_too_many_seconds_are_refused_at_once(client, busy):
    reply = client.get("profile", pid=busy.pid, seconds=999999)
    assert reply.status == 400 and reply.seconds < 0.5
    assert reply.headers["X-Go-Pprof"] == "1"


def test_semicolons_in_a_query_never_hang(client, busy):
    reply = client.request(
        f"/debug/pprof/cmdline?pid={busy.pid};seconds=3", timeout=5)
    check_error(reply, 400, "pid parameter is required")


@pytest.mark.parametrize("name, value", (
    ("hz", "0"), ("hz", "1001"), ("hz", "abc"), ("kernel", "2"),
    ("format", "pdf"), ("labels", "nothing"), ("demangle", "some"),
    ("tid", "x"), ("from", "yesterday")))
def test_own_parameters_are_strict(client, busy, name, value):
    reply = client.get("profile", pid=busy.pid, seconds=1, **{name: value})
    assert reply.status == 400 and reply.seconds < 0.5
    assert reply.headers["X-Go-Pprof"] == "1"


def test_a_target_that_exits_gets_what_was_measured(client, busy):
    capture = client.in_background(client.get, "profile", pid=busy.pid,
                                   seconds=30, hz=999)
    wait_until(lambda: busy.cpu_ns() > 600_000_000, "something is measured",
               seconds=25)
    os.kill(busy.pid, signal.SIGKILL)
    busy.process.wait()
    reply = capture.result()
    assert reply.status == 200 and reply.seconds < 29
    profile = pprof_profile.Profile(reply.body)
    assert profile.count > 10
    assert any("exit" in comment for comment in profile.comments), (
        profile.comments)


def test_kinds_that_do_not_exist_are_not_listed(client, busy):
    listed = re.findall(r"<tr><td>\d+</td><td><a href='[^']*'>(\w+)</a>",
                        client.get("", pid=busy.pid).text)
    for name in ("heap", "allocs", "block", "mutex", "trace"):
        reply = client.request(f"/debug/pprof/{name}?pid={busy.pid}",
                               method="HEAD")
        assert (reply.status == 200) == (name in listed), name


def test_loopback_answers_only_to_loopback_names(client):
    reply = client.request("/debug/pprof/", headers={"Host": "evil.example"})
    assert reply.status == 403


def test_collapsed_stacks_are_lines_of_frames_and_counts(client, busy):
    reply = client.get("profile", pid=busy.pid, seconds=1, hz=999,
                       format="collapsed")
    assert reply.status == 200
    assert reply.headers["Content-Type"] == PLAIN_TEXT
    lines = reply.text.splitlines()
    assert lines == sorted(lines)
    total = 0
    for line in lines:
        assert re.fullmatch(r"[^;]+(;[^;]+)* [0-9]+", line), line
        total += int(line.rsplit(" ", 1)[1])
    assert 20 < total < 1200  # one second, or what others left of it
    assert any("burn::RunRounds;path_a;hop_a;leaf_a " in line
               for line in lines)


def test_collapsed_stacks_of_the_host_begin_with_the_command(client, busy):
    reply = client.get("profile", seconds=1, hz=999, format="collapsed")
    assert any(line.startswith("burn_pie;") for line in
               reply.text.splitlines()), reply.text[:500]
    assert busy.pid
    reply = client.get("profile", seconds=1, hz=999, format="collapsed",
                       labels="pid")
    assert any(line.startswith(f"burn_pie-{busy.pid};")
               for line in reply.text.splitlines()), reply.text[:500]


def test_the_build_id_is_that_of_the_file(client, busy):
    profile = client.profile(busy.pid, seconds=1)
    main = profile.message.mapping[0]
    exe = os.readlink(f"/proc/{busy.pid}/exe")
    assert profile.strings[main.filename] == exe
    notes = subprocess.run(["readelf", "-n", exe], check=True,
                           capture_output=True, text=True).stdout
    assert profile.strings[main.build_id] == re.search(
        r"Build ID: ([0-9a-f]+)", notes).group(1)


def test_an_idle_process_has_an_empty_valid_profile(client, targets, tmp_path,
                                                    go_pprof):
    idle = targets.run(["/usr/bin/sleep", "60"], ready=False)
    wait_until(lambda: status_field(idle.pid, "State") == "S", "sleep sleeps")
    reply = client.get("profile", pid=idle.pid, seconds=1)
    assert reply.status == 200
    assert pprof_profile.Profile(reply.body).count == 0
    saved = tmp_path / "idle.pb.gz"
    saved.write_bytes(reply.body)
    go_pprof.output("-top", saved)
