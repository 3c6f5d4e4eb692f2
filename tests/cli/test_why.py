"""The command `why`, in this process."""

import json

from tests.cli.journals import compensated, requires_manual, write


def test_why_prints_sentences_newest_first_and_what_can_be_done(place, call, monkeypatch):
    write(place / "amends.db", requires_manual())
    assert call("why", "01MANUAL").out == (
        "! requires manual  book_trip v1  01MANUAL\n\n"
        "2026-11-02 10:00:05Z  It stands and waits for a person, because book_hotel is parked.\n"
        "2026-11-02 10:00:05Z  The compensation of book_hotel is owed, because its participant refused it for good: "
        "'the guest has checked in'.\n"
        "2026-11-02 10:00:05Z  It turned back, because book_car was rejected: 'no cars in Venice'.\n"
        "2026-11-02 10:00:05Z  book_car was rejected, because its participant said no: 'no cars in Venice'.\n"
        "\nWhat can be done\n"
        "  book_hotel is owed (refused)\n"
        "    amends resolve 01MANUAL book_hotel done --reason WHY   # its compensation was done by hand\n"
        "    amends skip 01MANUAL book_hotel --reason WHY   # leave its effect as it is; the saga ends closed\n"
        "  the saga\n"
        "    amends retry 01MANUAL --reason WHY   # call again what is parked or backing off\n"
    )
    monkeypatch.setenv("COLUMNS", "70")
    lines = call("why", "01MANUAL").out.splitlines()
    assert lines[4:7] == [
        "2026-11-02 10:00:05Z  The compensation of book_hotel is owed, because",
        "                      its participant refused it for good: 'the guest",
        "                      has checked in'.",
    ]


def test_why_of_a_past_moment_and_of_a_bundle(place, call):
    write(place / "amends.db", compensated())
    chain = json.loads(call("why", "01COMPENSATED", "--at", "4", "-o", "json").out)
    assert chain == [
        {
            "at": "2026-11-02T10:00:01.505Z", "seq": 4, "step": "",
            "what": "it is running", "because": "book_hotel is to be tried again",
        },
        {
            "at": "2026-11-02T10:00:01.505Z", "seq": 4, "step": "book_hotel",
            "what": "book_hotel is to be tried again at 2026-11-02T10:00:02.005Z",
            "because": "it did not succeed in one attempt: 'TimeoutError'",
        },
    ]  # fmt: skip
    assert "What can be done" not in call("why", "01COMPENSATED").out
    call("export", "01COMPENSATED", "-O", "saga.json")
    assert call("why", "saga.json", "-o", "jsonl").out == call("why", "01COMPENSATED", "-o", "jsonl").out
    assert call("why", "nobody").code == 3
