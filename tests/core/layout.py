"""Where slots stand in the tree: in which order, in which item of an `each`, in which alternative of a `first_of`.

Made of the graph and of the blocks that the journal tells of, with an arithmetic of its own, so that it can disagree
with the kernel's walks.
"""

from __future__ import annotations

from itertools import pairwise

from amends.core.graph import Graph, Kind, Node
from amends.core.places import Block


class Layout:
    """All slots that are no templates of an `each`'s items.

    Attributes:
        steps: the slots of steps.
        later: of each step, those that come after it in the partial order.
        around: of each slot, the first_ofs around it with the alternative that it stands in, the nearest first.
        below: of each first_of, the steps below each alternative.
        items: of each block, the slots below each item.
        timed: the slots that have a due time while they wait.
    """

    def __init__(self, graph: Graph, blocks: tuple[Block, ...]) -> None:
        self.graph = graph
        self.blocks = blocks
        self.nodes: list[Node] = list(graph.nodes)
        for block in blocks:
            self.nodes += graph.nodes[block.body : block.body + block.size] * block.count
        ways = {slot: self._way(slot) for slot in range(len(self.nodes))}
        self.ways = {slot: way for slot, way in ways.items() if not self._is_template(way)}
        self.steps = [slot for slot in self.ways if self.nodes[slot].kind is Kind.STEP]
        self.later = {x: [y for y in self.steps if self._before(x, y)] for x in self.steps}
        self.around = {slot: self._first_ofs(way) for slot, way in self.ways.items()}
        self.below: dict[int, list[list[int]]] = {
            slot: [[] for _ in self.nodes[slot].children]
            for slot in self.ways if self.nodes[slot].kind is Kind.FIRST_OF
        }  # fmt: skip
        for step in self.steps:
            for first_of, position in self.around[step]:
                self.below[first_of][position].append(step)
        self.items = {block: [self._item(block, number) for number in range(block.count)] for block in blocks}

        self.timed = {slot for slot in self.ways if self._is_timed(self.nodes[slot])}

    def _is_timed(self, node: Node) -> bool:
        return node.kind is Kind.SLEEP or (node.kind is Kind.WAIT and self.graph.policies[node.index].wait_ms > 0)

    def _way(self, slot: int) -> list[int]:
        """From the root down to a slot."""
        way = [slot]
        while (node := self.nodes[slot]).parent >= 0:
            block = next((block for block in self.blocks if _within(block, slot)), None)
            begins_an_item = block is not None and node.index == block.body
            slot = block.each if begins_an_item else node.parent + slot - node.index
            way.append(slot)
        return way[::-1]

    def _is_template(self, way: list[int]) -> bool:
        """Whether it stands below an `each`, and in none of its items."""
        listed = {block.each: block for block in self.blocks}
        return any(
            self.nodes[slot].kind is Kind.EACH and not (slot in listed and _within(listed[slot], below))
            for slot, below in pairwise(way)
        )

    def _before(self, one: int, other: int) -> bool:
        for depth, (a, b) in enumerate(zip(self.ways[one], self.ways[other], strict=False)):
            if a != b:
                parent = self.nodes[self.ways[one][depth - 1]] if depth else None
                ordered = parent is not None and parent.kind is Kind.SEQUENCE
                return ordered and self.nodes[a].position < self.nodes[b].position
        return False

    def _first_ofs(self, way: list[int]) -> list[tuple[int, int]]:
        found = [
            (slot, self.nodes[below].position)
            for slot, below in pairwise(way) if self.nodes[slot].kind is Kind.FIRST_OF
        ]  # fmt: skip
        return found[::-1]

    def _item(self, block: Block, number: int) -> list[int]:
        root = block.first + number * block.size
        return [slot for slot, way in self.ways.items() if root in way]


def _within(block: Block, slot: int) -> bool:
    return block.first <= slot < block.first + block.size * block.count
