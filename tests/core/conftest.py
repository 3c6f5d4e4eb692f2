"""The enumerator's count stands at the end of every run that used it."""

from tests.core.enumerator import TOTAL


def pytest_terminal_summary(terminalreporter):
    if TOTAL.moves:
        ends = ", ".join(f"{status} {number:,}" for status, number in sorted(TOTAL.ends.items()))
        terminalreporter.section("kernel, exhaustively")
        terminalreporter.line(
            f"{TOTAL.sagas} sagas, {TOTAL.situations:,} situations, {TOTAL.moves:,} moves checked; "
            f"distinct ends: {ends}"
        )
