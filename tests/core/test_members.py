"""What stands in for an Enum where the kernel asks for its members."""

from amends.core import decide, fold, fold_steps, state, verbs, walk
from amends.core.graph import Kind
from amends.core.members import members
from amends.core.transitions import SagaStatus, StepStatus


def test_it_has_the_very_members_by_their_names():
    for enum in (Kind, SagaStatus, StepStatus):
        assert vars(members(enum)) == {member.name: member for member in enum}


def test_the_modules_of_the_kernel_do_not_go_through_the_enum():
    for module in (decide, fold, fold_steps, state, verbs, walk):
        assert vars(module)["_S"] is not StepStatus, module.__name__
