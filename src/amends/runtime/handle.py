"""A handle: one saga by its id, from the process that started it or from any other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ..core.transitions import SagaStatus

if TYPE_CHECKING:
    from .actor import Actor
    from .orchestrator import Orchestrator

Out = TypeVar("Out")


class Handle(Generic[Out]):
    """One saga.

    Attributes:
        id: its id.
    """

    __slots__ = ("_actor", "_orchestrator", "id")

    def __init__(self, orchestrator: Orchestrator, saga_id: str, actor: Actor | None = None) -> None:
        self._orchestrator = orchestrator
        self._actor = actor  # the saga's actor, when it was started here: it knows the end without the store
        self.id = saga_id

    def __repr__(self) -> str:
        return f"<saga {self.id}>"

    async def result(self) -> Out:
        """Wait for the end, and give the saga's result.

        Cancelling the task that awaits this never touches the saga.

        Raises:
            SagaCompensated: it turned back, and all was made good.
            SagaRequiresManual: something is parked; the saga waits for a person.
            SagaFailed: a person closed it.
            NotFound: no such saga, or it was pruned.
        """
        result: Any = await self._orchestrator._outcome(self.id, self._actor)  # noqa: SLF001 -- the two are one thing in two names
        return result  # type: ignore[no-any-return]

    async def status(self) -> SagaStatus:
        """Where it stands now. Raises NotFound."""
        return (await self._orchestrator.get(self.id)).status
