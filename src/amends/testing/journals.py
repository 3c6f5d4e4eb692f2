"""Journals to test stores and lists with: six sagas in six states, and what a list must say of them.

Rules of this file: frames are made of real events, and time is made up.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..core import events as e
from ..core.graph import Graph, Kind, Node, Policy, sizes_of, structure_from, structure_of
from ..core.summary import Summary, fold_summary
from ..stores.base import DefinitionRow, FrameRow

NOW = 1_790_000_000_000


def saga_frames(
    saga_id: str, *decided: list[e.Event], name: str = "trip", key: str = "",
    correlation: dict[str, str] | None = None, began: int = NOW,
) -> list[FrameRow]:  # fmt: skip
    """A saga's journal: its start, then one frame per list of events, a second apart."""
    start = e.Started(saga_id, name, 1, "f1", e.NOTHING, began + 60_000, 60_000, key, correlation or {})
    decisions: list[list[e.Event]] = [[start], *decided]
    return [
        FrameRow(saga_id, at + 1, e.encode_frame(began + at * 1_000, events)) for at, events in enumerate(decisions)
    ]


def story() -> list[FrameRow]:
    """The interleaved journals of six sagas, each in another state at its end."""
    journals = [
        saga_frames("s1", [e.Began(), e.ActionStarted(1)], [e.ActionSucceeded(1), e.Completed()]),
        saga_frames(
            "s2",
            [e.Began(), e.ActionStarted(1)],
            [e.ActionUnknown(1, "reset"), e.RetryScheduled(1, NOW + 5_000, 200)],
            [e.ActionStarted(1)],
            [e.ActionRejected(1, "no seat"), e.StepRejected(1), e.TurnedBack("rejected", 1, "no\nseat")],
            [e.Compensated()],
            correlation={"customer": "ann@example.com", "tour": "north"},
        ),
        saga_frames("s3", [e.Began(), e.WaitStarted(2, NOW + 9_000)], correlation={"customer": "ann@example.com"}),
        saga_frames("s4", [e.Began(), e.SleepStarted(3, NOW + 9_000)], [e.Paused("holiday", "eve")]),
        saga_frames(
            "s5",
            [e.Began(), e.ActionStarted(1)],
            [e.ActionSucceeded(1), e.CancelRequested("customer"), e.TurnedBack("cancelled", -1, "customer")],
            [e.CompensationStarted(1)],
            [e.CompensationRefused(1, "gone"), e.StepOwed(1, "refused"), e.RequiresManual()],
            [e.AnomalyNoted(1, "late", after_undo=True)],
            name="order",
            key="k-5",
        ),
        saga_frames("s6", [e.Began(), e.Held("version", "trip 1 is not registered here")], name="order", key="k-6"),
    ]
    longest = max(len(journal) for journal in journals)
    return [journal[at] for at in range(longest) for journal in journals if at < len(journal)]


def definition(name: str = "trip", version: int = 1, fingerprint: str = "f1") -> DefinitionRow:
    """A definition whose nodes are called root, book, answer and rest."""
    paths = ("root", "book", "answer", "rest")
    nodes = tuple(Node(at, Kind.STEP, path, at and 0, at) for at, path in enumerate(paths))
    graph = Graph(name, version, nodes, tuple(Policy() for _ in nodes), root=0)
    return DefinitionRow(name, version, fingerprint, structure_of(graph))


def folded(frames: Sequence[FrameRow], definitions: Sequence[DefinitionRow]) -> list[Summary]:
    """What the projection must hold: the pure fold, newest first."""
    nodes = {row.name: structure_from(row.structure).nodes for row in definitions}
    summaries: dict[str, Summary] = {}
    for row in frames:
        frame, before = e.decode_frame(row.body), summaries.get(row.saga_id)
        first = frame.events[0]
        name = before.name if before else first.name if isinstance(first, e.Started) else ""
        known = nodes.get(name, ())
        paths = [node.path for node in known]
        summaries[row.saga_id] = fold_summary(before, row.saga_id, frame, row.seq, paths, sizes_of(known))
    return [summaries[saga_id] for saga_id in sorted(summaries, reverse=True)]
