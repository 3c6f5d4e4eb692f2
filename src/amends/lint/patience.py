"""Rules on time: timeouts, deadlines, retries, and what lapses."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

from ..core.graph import Kind, Node
from ..policies.retry import Retry
from .calls import Seen, blocks, calls_of
from .findings import Hit, Rule, Severity
from .subject import Act, Function, Subject

_SOON_MS = 10_000  # a compensation that gives up sooner does not outlive a restart of its participant
_FEW = 10  # attempts; who gives more has thought about it


def deadline_behind_the_pivot(subject: Subject) -> Iterator[Hit]:
    """SG006: pauses behind the pivot that the deadline does not last for."""
    deadline = subject.graph.deadline_ms
    pivots = [act for act in subject.acts if act.node.pivot]
    for act in pivots if deadline else ():
        behind = {node.index for node in subject.following(act) if node.index > act.node.index}
        pause = longest(subject, _only(behind, subject, _pause))
        if pause >= deadline:
            yield Hit(
                subject.places,
                "",
                f'behind the pivot "{act.path}" the saga pauses for up to {told(pause)}, and its deadline is '
                f"{told(deadline)}: it passes there, and a person has to go on",
            )


def deadline_before_the_end(subject: Subject) -> Iterator[Hit]:
    """SG007: what cannot end in the time it has."""
    deadline = subject.graph.deadline_ms
    before = set(range(len(subject.graph.nodes))) - _behind_pivots(subject)
    if deadline:
        pause = longest(subject, _only(before, subject, _sleep))
        whole = longest(subject, _only(before, subject, _lasts))
        if pause >= deadline:
            yield Hit(
                subject.places,
                "",
                f"the saga sleeps for {told(pause)} before its pivot or end, and its deadline is {told(deadline)}: it "
                f"always turns back",
                severity=Severity.ERROR,
            )
        elif whole > deadline:
            yield Hit(
                subject.places,
                "",
                f"its waits and the timeouts of all attempts come to {told(whole)}, and its deadline is "
                f"{told(deadline)}: it may turn back while a step is still being retried",
            )
    for act in subject.acts:
        if not deadline and act.node.on_unknown == "retry" and act.has_effect:
            yield Hit(
                act.places,
                act.path,
                f'step "{act.path}" is retried until the deadline (on_unknown="retry"), and the saga has none',
            )
        trying = act.policy.timeout_ms * act.policy.retry.attempts
        if 0 < act.policy.key_ttl_ms < trying and act.has_effect:
            yield Hit(
                act.places,
                act.path,
                f'"{act.path}" may be tried for {told(trying)}, and its key is forgotten after '
                f"{told(act.policy.key_ttl_ms)}: the attempts after that are not made",
                "make timeout= or attempts smaller, or key_ttl= what the participant really promises",
            )
        for function in act.functions:
            yield from _without_timeout(act, function)
            yield from _longer_than_its_timeout(act, function)


def _without_timeout(act: Act, function: Function) -> Iterator[Hit]:
    """A call in a thread, which no timeout of ours can cut."""
    if function.source.is_async:
        return
    for seen in calls_of(function.source):
        name = seen.name
        given = [each for each in seen.call.keywords if each.arg in {"timeout", None}]
        timed = bool(given) and not _is_none(given[0])
        bounded = name in {"time.sleep", "input", "os.system"} or (
            name.startswith(("httpx.", "httpx2.")) and not given and not _patient_client(seen)
        )
        if blocks(name) and not bounded and not timed:
            yield Hit(
                function.source.at(seen.through),
                act.path,
                f'the {function.role} of "{act.path}" calls {ast.unparse(seen.call.func)} without timeout=: a thread '
                f"cannot be cut, and hangs as long as its peer does",
                "give timeout=, shorter than the step's",
            )


def _is_none(given: ast.keyword) -> bool:
    return given.arg == "timeout" and isinstance(given.value, ast.Constant) and given.value.value is None


def _patient_client(seen: Seen) -> bool:
    """Whether the client that a method is called on was made with timeout=None, here or in the module."""
    holder = seen.call.func.value if isinstance(seen.call.func, ast.Attribute) else None
    if not isinstance(holder, ast.Name):
        return False
    source = seen.source
    made = list(source.assigned.get(holder.id, ()))
    for node in (*source.body, *(source.files.nodes(source.file) if holder.id not in source.local else ())):
        match node:
            case ast.withitem(context_expr=value, optional_vars=ast.Name(id=name)) if name == holder.id:
                made.append(value)
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if name == holder.id:
                made.append(value)
    return any(isinstance(each, ast.Call) and any(_is_none(given) for given in each.keywords) for each in made)


def _longer_than_its_timeout(act: Act, function: Function) -> Iterator[Hit]:
    """A sleep, or a call's own timeout in a thread, that the function's timeout never lets end."""
    limit = {"action": act.policy.timeout_ms, "compensation": act.policy.compensation_timeout_ms}.get(
        function.role, act.policy.probe_timeout_ms
    )
    source = function.source
    for call in source.calls:
        name = source.called(call)
        length = call.args[0] if call.args and name in {"asyncio.sleep", "time.sleep"} else None
        if length is None and blocks(name) and not source.is_async:
            length = next((each.value for each in call.keywords if each.arg == "timeout"), None)
        seconds = length.value if isinstance(length, ast.Constant) else None
        if not isinstance(seconds, (int, float)) or seconds * 1000 < limit:
            continue
        if source.runs_itself(call) and not any(isinstance(each, ast.If) for each in source.around(call)):
            spent = f"{told(int(seconds * 1000))} in {ast.unparse(call.func)}"
            yield Hit(
                source.at(call),
                act.path,
                f'the {function.role} of "{act.path}" may spend {spent}, and is cut after {told(limit)}',
                "give timeout= more, or pause with sleep() in the graph",
            )


def gives_up_soon(subject: Subject) -> Iterator[Hit]:
    """SG008: a compensation that stops trying within seconds."""
    for act in subject.acts:
        if act.compensation is None:
            continue
        retry = act.policy.compensation_retry
        trying = _trying_ms(retry)
        if trying < _SOON_MS and (retry.attempts <= _FEW or retry.max_elapsed_ms):
            tries = "only once" if retry.attempts == 1 else f"{retry.attempts} times within {told(trying)}"
            yield Hit(
                act.compensation.source.places,
                act.path,
                f'the compensation of "{act.path}" is tried {tries}, and then a person has to do it',
            )


def blocked_loop(subject: Subject) -> Iterator[Hit]:
    """SG030: an `async def` that keeps the event loop."""
    for act in subject.acts:
        for function in act.functions:
            if not function.source.is_async:
                continue
            for seen in calls_of(function.source):
                if blocks(seen.name) and seen.source.runs_itself(seen.call):
                    yield Hit(
                        function.source.at(seen.through),
                        act.path,
                        f'the {function.role} of "{act.path}" is `async def` and calls {ast.unparse(seen.call.func)}, '
                        f"which blocks: no other saga moves meanwhile, and no timeout cuts it",
                    )


def waits_for_ever(subject: Subject) -> Iterator[Hit]:
    """SG032: a wait that nothing ends."""
    for node in subject.graph.nodes:
        if node.kind is Kind.WAIT and not subject.graph.policies[node.index].wait_ms and not subject.graph.deadline_ms:
            yield Hit(
                subject.wait_places(node),
                node.path,
                f'"{node.path}" waits without timeout=, and the saga has no deadline: if nobody answers, what was done '
                f"before stays as it is for ever",
            )


def lapses_too_early(subject: Subject) -> Iterator[Hit]:
    """SG033: a hold that lapses before what it is held for."""
    behind = _behind_pivots(subject)
    for act in subject.acts:
        lasts = act.policy.expires_ms
        if not lasts:
            continue
        between = {node.index for node in subject.following(act) if node.index > act.node.index} - behind
        sleeps = longest(subject, _only(between, subject, _sleep))
        pauses = longest(subject, _only(between, subject, _pause))
        endless = next(
            (
                node
                for node in subject.graph.nodes
                if node.index in between and node.kind is Kind.WAIT and not subject.graph.policies[node.index].wait_ms
            ),
            None,
        )
        if max(sleeps, pauses) >= lasts:
            how = "sleeps" if sleeps >= lasts else "may wait"
            yield Hit(
                act.places,
                act.path,
                f'the effect of "{act.path}" lapses after {told(lasts)}, and the saga {how} for '
                f"{told(max(sleeps, pauses))} before it is used",
                severity=Severity.ERROR if sleeps >= lasts else None,
            )
        elif endless is not None and not 0 < subject.graph.deadline_ms <= lasts:
            yield Hit(
                act.places,
                act.path,
                f'the effect of "{act.path}" lapses after {told(lasts)}, and "{endless.path}" may wait for longer',
            )


def no_jitter(subject: Subject) -> Iterator[Hit]:
    """SG034: retries that come all at once."""
    for act in subject.acts:
        policy = act.policy
        for function, retry in (
            (act.action, policy.retry),
            (act.compensation, policy.compensation_retry),
            (act.probe, policy.probe_retry),
        ):
            if function is not None and retry.jitter == "none" and retry.attempts > 1:
                yield Hit(
                    function.source.places,
                    act.path,
                    f'the retries of the {function.role} of "{act.path}" have no jitter: after an outage all sagas '
                    f"call at the same moments",
                )


# --- lengths -------------------------------------------------------------------------------------


def longest(subject: Subject, weigh: Callable[[Node], int]) -> int:
    """The greatest weight of a way through the graph."""
    nodes = subject.graph.nodes

    def of(index: int) -> int:
        node = nodes[index]
        below = [of(child) for child in node.children]
        match node.kind:
            case Kind.PARALLEL | Kind.CHOOSE:
                return max(below, default=0)
            case _:
                return weigh(node) + sum(below)

    return of(subject.graph.root)


def _only(those: set[int], subject: Subject, weigh: Callable[[Subject, Node], int]) -> Callable[[Node], int]:
    """The weight of these nodes; others weigh nothing."""
    return lambda node: weigh(subject, node) if node.index in those else 0


def told(ms: int) -> str:
    """A length of time as people write it."""
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000)):
        if ms >= 2 * size or ms == size:
            return f"{ms / size:.3g} {unit}"
    return f"{ms / 1000:.3g} s"


def _sleep(subject: Subject, node: Node) -> int:
    return subject.graph.policies[node.index].sleep_ms if node.kind is Kind.SLEEP else 0


def _pause(subject: Subject, node: Node) -> int:
    policy = subject.graph.policies[node.index]
    return policy.wait_ms if node.kind is Kind.WAIT else _sleep(subject, node)


def _lasts(subject: Subject, node: Node) -> int:
    policy = subject.graph.policies[node.index]
    return policy.timeout_ms * policy.retry.attempts if node.kind is Kind.STEP else _pause(subject, node)


def _behind_pivots(subject: Subject) -> set[int]:
    pivots = (act for act in subject.acts if act.node.pivot)
    return {node.index for act in pivots for node in subject.following(act) if node.index > act.node.index}


def _trying_ms(retry: Retry) -> int:
    pauses = 0.0
    for failures in range(min(retry.attempts, 64) - 1):
        pauses += min(retry.cap_ms, retry.base_ms * float(retry.multiplier) ** failures)
    return int(min(pauses, retry.max_elapsed_ms or pauses))


RULES = (
    Rule(
        "SG006",
        Severity.ERROR,
        "the deadline passes behind the pivot",
        "make the deadline longer than the pauses behind the pivot, or end the saga before them",
        "Behind the point of no return a deadline undoes nothing: running attempts end, no new one begins, and the "
        "saga waits in `requires_manual` for a person.",
        check=deadline_behind_the_pivot,
    ),
    Rule(
        "SG007",
        Severity.WARNING,
        "something has not the time that it needs, or no limit of time at all",
        "make the deadline longer, or timeouts and attempts fewer",
        "A deadline that is shorter than the patience of the steps turns sagas back that would have succeeded. And "
        "what no timeout can cut may hang for as long as its peer does.",
        check=deadline_before_the_end,
    ),
    Rule(
        "SG008",
        Severity.WARNING,
        "a compensation gives up within seconds",
        "leave retry= out, which tries twenty times over more than an hour, or give more attempts and a longer cap",
        "What is owed is worth patience: an outage of some minutes is common. When the attempts are used up, the saga "
        "waits in `requires_manual` for a person.",
        check=gives_up_soon,
    ),
    Rule(
        "SG030",
        Severity.ERROR,
        "an async function blocks the event loop",
        "await an asynchronous client or asyncio.sleep, or make the function a plain `def`, which runs in a thread",
        "While a function blocks the loop, no other saga moves, no timeout is kept, and the lease is not renewed: "
        "another process may take the sagas over in the middle of the call.",
        check=blocked_loop,
    ),
    Rule(
        "SG032",
        Severity.WARNING,
        "a wait for somebody has no end",
        "give the wait timeout=, or the saga deadline=",
        "People forget. A wait without an end keeps what was reserved before it, and nobody is told.",
        check=waits_for_ever,
    ),
    Rule(
        "SG033",
        Severity.WARNING,
        "a hold may lapse before it is used",
        "hold it after the pause, make the pause shorter than expires=, or hold it anew before the pivot",
        "An authorization or a reservation that lapses by itself (`expires=`) is gone when the pivot comes to use it, "
        "and the pivot fails or, worse, takes what is somebody else's by now.",
        check=lapses_too_early,
    ),
    Rule(
        "SG034",
        Severity.WARNING,
        "retries have no jitter",
        'leave jitter= out, or write jitter="full"',
        "When a participant fails, all sagas that call it fail at once. Without jitter they all come back at the same "
        "moments, and keep it down.",
        check=no_jitter,
    ),
)
