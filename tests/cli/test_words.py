"""Words: every status has an icon, lengths fit, and nothing from outside reaches a terminal as it is."""

import pytest

from amends import SagaStatus, StepStatus
from amends.cli.words import SAGA_ICONS, STEP_ICONS, length, safe


def test_every_status_has_an_icon_of_its_own_beside_its_word():
    assert set(SAGA_ICONS) == set(SagaStatus)
    assert set(STEP_ICONS) == set(StepStatus)
    assert len(set(SAGA_ICONS.values())) == len(SagaStatus)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0ms"), (0.34, "340ms"), (0.9999, "1.0s"), (1.24, "1.2s"), (59.97, "1m"), (185, "3m05s"),
        (7_800, "2h10m"), (7 * 86_400, "7d"), (86_399.9, "1d"), (90_000, "1d01h"), (-1, "0ms"),
    ],
)  # fmt: skip
def test_a_length_of_time_is_said_in_at_most_six_characters(seconds, said):
    assert length(seconds) == said and len(said) <= 6


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("plain [bold]text[/bold]", "plain [bold]text[/bold]"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("\x9b31m", "\\x9b31m"),
        ("a\r\nb\tc", "a b c"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("bell\x07", "bell\\x07"),
        ("größe 数 🎉", "größe 数 🎉"),
    ],
)
def test_safe_text_is_one_line_that_cannot_steer_a_terminal(text, said):
    assert safe(text) == said
