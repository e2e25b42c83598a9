"""The past: always recorded, answered at once, counted once."""
import datetime

import pytest

import stack_truth
from target_process import CpuRecorder
from waiting import wait_until

ALWAYS_ON_HZ = 19
LATE_SECONDS = 3  # until a sample that was taken can be asked for


def burn_until(target, cpu_seconds):
    wait_until(lambda: target.cpu_ns() >= cpu_seconds * 1e9,
               f"{cpu_seconds} s of CPU are burnt", seconds=60)


def check_cpu(profile, recorder):
    """The profile's CPU time is, within sampling error, what was used."""
    used = recorder.between(profile.start_ns, profile.end_ns)
    expected = used / 1e9 * ALWAYS_ON_HZ
    assert expected > 50
    assert abs(profile.count - expected) <= 4 * expected**0.5, (
        profile.count, expected)


def test_the_past_is_answered_at_once_with_whole_stacks(client, targets):
    target = targets.burn("burn_pie", mode="shares")
    with CpuRecorder(target) as recorder:
        burn_until(target, 5)
        reply = client.get("profile", pid=target.pid, from_="-30s")
        assert reply.status == 200 and reply.seconds < 2
        profile = client.profile(target.pid, from_="-30s")
        now = recorder.points[-1][1]
    truth = stack_truth.StackTruth(target.stop())
    verdict = truth.judge(profile)
    assert verdict.samples >= (now / 1e9 - LATE_SECONDS) * ALWAYS_ON_HZ * 0.9
    assert verdict.complete_share >= 0.97, verdict
    assert verdict.exact_share >= 0.97, verdict


def test_the_past_can_be_named_in_rfc_3339_and_unix_seconds(client, targets):
    target = targets.burn("burn_pie", mode="shares")
    burn_until(target, 3)
    now = datetime.datetime.now(datetime.timezone.utc)
    start = now - datetime.timedelta(seconds=20)
    texts = [(start.isoformat(), now.isoformat()),
             (start.strftime("%Y-%m-%dT%H:%M:%SZ"),
              now.strftime("%Y-%m-%dT%H:%M:%SZ")),
             (str(start.timestamp()), str(now.timestamp()))]
    for begin, end in texts:
        profile = client.profile(target.pid, from_=begin, to=end)
        assert profile.count > 0, (begin, end)
        assert profile.end_ns <= now.timestamp() * 1e9 + 11e9


@pytest.mark.parametrize("begin, end", (("-1s", "-5s"), ("tomorrow", ""),
                                        ("", "-5s")))
def test_a_senseless_past_is_refused(client, targets, begin, end):
    target = targets.burn("burn_pie", mode="a")
    reply = client.get("profile", pid=target.pid, from_=begin, to=end)
    assert reply.status == 400


def test_an_exited_process_can_be_asked_for(client, targets):
    target = targets.burn("burn_pie", mode="shares")
    burn_until(target, 3)
    truth = stack_truth.StackTruth(target.stop())
    reply = client.get("", pid=target.pid)
    assert reply.status == 200 and "burn_pie" in reply.text
    profile = client.profile(target.pid, from_="-60s")
    verdict = truth.judge(profile)
    assert verdict.samples >= 2 * ALWAYS_ON_HZ
    assert verdict.exact_share >= 0.97, verdict
    assert client.get("profile", pid=target.pid, seconds=1).status == 404


def test_a_waiting_query_is_not_counted_twice(client, targets):
    target = targets.burn("burn_pie", mode="shares")
    with CpuRecorder(target) as recorder:
        burn_until(target, 2)
        client.profiles([target.pid] * 2, seconds=4, hz=999)
        burn_until(target, recorder.points[-1][1] / 1e9 + LATE_SECONDS)
        profile = client.profile(target.pid, from_="-60s",
                                 to=f"-{LATE_SECONDS}s")
        check_cpu(profile, recorder)


def test_the_past_of_the_host_has_every_busy_process(client, targets):
    pair = [targets.burn("burn_pie", mode="a"),
            targets.burn("burn_static", mode="b")]
    for target in pair:
        burn_until(target, 3)
    profile = client.profile(from_="-30s")
    pids = {sample.labels["pid"] for sample in profile.samples}
    assert {target.pid for target in pair} <= pids


def test_nothing_is_known_of_a_pid_that_never_was(client):
    assert client.get("profile", pid=4194303, from_="-30s").status == 404
