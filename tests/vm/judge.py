"""Judges what a guest printed: pure functions over its console."""

import json
import re

MAX_VERIFIED_INSTRUCTIONS = 200_000
MIN_SAMPLES = 50
MIN_EXACT_SHARE = 0.99
# Stacks without any function of the program itself are rare.
MIN_SHOWN_SHARE = 0.8
# A program that starts touches more; but most of its stacks come before its
# tables, many at once.
MIN_TOUCHED_BYTES = 20 * 4096
# Nothing of the user half is left to be shown.
EXITING = "[truncated: thread exiting, its memory is gone]"


def parts(console):
    """Name -> (lines, exit status) of every part of the console's text."""
    found = {}
    pattern = r"^@@begin (\S+)\n(.*?)^@@end \1 (\d+)$"
    for match in re.finditer(pattern, console.replace("\r", ""),
                             re.MULTILINE | re.DOTALL):
        found[match[1]] = (match[2].splitlines(), int(match[3]))
    return found


def verified_instructions(lines):
    """Program -> instructions the verifier walked, from `pprofd check`."""
    rows = (re.fullmatch(r"\s*verified_insns (\S+) (\d+)", line)
            for line in lines)
    return {row[1]: int(row[2]) for row in rows if row}


def exact_samples(collapsed, truth):
    """(samples, those that reach the root by a chain the program can show,
    those that show some of it).

    Frames of stripped libraries have no names to check; a chain that was cut
    lacks its outermost own function, or says that it is truncated.
    """
    chains = [chain for scenario in truth["scenarios"]
              for chain in scenario["chains"]]
    own = {name for chain in chains for name in chain}
    # Where stacks that the program made itself may end.
    roots = {name for s in truth["scenarios"] for name in s["roots"]}
    # Interrupted between two calls, a stack lacks the leaf end of its chain.
    known = {tuple(chain[skip:]) for chain in chains
             for skip in range(len(chain) + 1)}
    total = exact = shown_count = 0
    for line in collapsed:
        stack, _, count = line.rpartition(" ")
        names = [re.sub(r"_\[[a-z]\]$", "", name) for name in stack.split(";")]
        total += int(count)
        shown = tuple(name for name in reversed(names) if name in own)
        shown_count += int(count) * bool(shown)
        cut = names[0].startswith("[truncated") and names[0] != EXITING
        if shown in known and (not cut or roots.intersection(shown[-1:])):
            exact += int(count)
    return total, exact, shown_count


def judge(console, targets):
    """(failures, findings): lines of text, no failure when all is well."""
    found = parts(console)
    failures, findings = [], []
    for name in ("check", "stop"):
        if found.get(name, ([], 1))[1] != 0:
            failures.append(f"{name} failed")
    instructions = verified_instructions(found.get("check", ([], 1))[0])
    if not instructions:
        failures.append("check printed no verified_insns")
    for program, count in instructions.items():
        # Kernels before 5.16 do not tell: 0.
        findings.append(f"{program}: {count or 'unknown'} verified instructions")
        if count >= MAX_VERIFIED_INSTRUCTIONS:
            failures.append(f"{program}: {count} verified instructions, "
                            f"budget {MAX_VERIFIED_INSTRUCTIONS}")
    for target in targets:
        failure, finding = _judge_target(found, target)
        findings.append(finding)
        if failure:
            failures.append(finding)
        failure, finding = _judge_rss(found, target)
        findings.append(finding)
        if failure:
            failures.append(finding)
    return failures, findings


def _judge_rss(found, target):
    """(is a failure, text)."""
    collapsed, status = found.get(f"rss:{target}", ([], 1))
    if status:
        return True, f"{target}: no rss: {' '.join(collapsed[:2])}"
    total = whole = 0
    for line in collapsed:
        stack, _, touched = line.rpartition(" ")
        total += int(touched)
        whole += int(touched) * (not stack.startswith("[truncated"))
    text = f"{target}: {whole} of {total} bytes touched by whole stacks"
    return total < MIN_TOUCHED_BYTES or whole == 0, text


def _judge_target(found, target):
    """(is a failure, text)."""
    collapsed, status = found.get(f"profile:{target}", ([], 1))
    truth, _ = found.get(f"truth:{target}", ([], 1))
    if status or not truth:
        return True, f"{target}: no profile: {' '.join(collapsed[:2])}"
    try:
        total, exact, shown = exact_samples(collapsed, json.loads(truth[0]))
    except (ValueError, KeyError) as error:
        return True, f"{target}: unreadable: {error!r}"
    text = f"{target}: {exact} of {total} samples exact"
    is_blind = shown < MIN_SHOWN_SHARE * total
    return (total < MIN_SAMPLES or is_blind
            or exact < MIN_EXACT_SHARE * total), text
