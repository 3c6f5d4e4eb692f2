"""show --at, export and what opens a bundle, tail and history --follow: the commands, in this process."""

import io
import json
import re
import subprocess
import sys

import msgspec
import pytest

from amends.core import events as ev
from amends.runtime import bundle
from tests.cli.journals import compensated, completed, requires_manual, write
from tests.cli.processes import MAIN, PATIENCE_S, amends, until, worker


@pytest.fixture
def three(place):
    write(place / "amends.db", compensated(), completed(), requires_manual())


def shown(call, *argv):
    said = call("show", *argv, "-o", "json")
    assert said.code == 0, said.err
    return json.loads(said.out)


# --- show --at -----------------------------------------------------------------------------------


def test_a_past_moment_is_shown_as_it_was_and_offers_nothing_to_do(three, call):
    then = shown(call, "01MANUAL", "--at", "2026-11-02T10:00:02")
    assert (then["status"], then["seq"], then["cause"], then["remedies"]) == ("running", 4, "", [])
    assert [each["status"] for each in then["steps"]] == ["succeeded", "retrying", "pending", "pending"]
    assert shown(call, "01MANUAL", "--at", "4") == then
    drawing = call("show", "01MANUAL", "--at", "4").out
    assert "as of       2026-11-02T10:00:01.505Z, frame 4 of 10" in drawing
    assert "What can be done" not in drawing and "10m-ago" not in drawing


def test_a_moment_before_the_start_or_after_the_last_frame_is_not_found(three, call):
    early = call("show", "01MANUAL", "--at", "2026-11-01")
    assert early.code == 3 and "[AM3007]" in early.err and "it started at 2026-11-02T10:00:00.000+00:00" in early.err
    late = call("show", "01MANUAL", "--at", "11")
    assert late.code == 3 and "[AM3008]" in late.err and "frames 1 to 10" in late.err
    assert call("show", "01MANUAL", "--at", "soon").code == 2


# --- export --------------------------------------------------------------------------------------


@pytest.mark.parametrize("saga_id", ["01MANUAL", "01COMPLETED", "01COMPENSATED"])
def test_a_bundle_is_shown_elsewhere_as_its_saga_was(three, call, place, monkeypatch, saga_id):
    done = call("export", saga_id, "-O", "saga.json")
    assert (done.code, done.out) == (0, "") and "amends show saga.json" in done.err
    told = [call(command, saga_id, "-o", "json").out for command in ("show", "history")]
    drawn = call("show", saga_id).out
    (place / "elsewhere").mkdir()
    (place / "saga.json").rename(place / "elsewhere" / "saga.json")
    monkeypatch.chdir(place / "elsewhere")
    for command, expected in zip(("show", "history"), told, strict=True):
        opened = call(command, "saga.json", "-o", "json")
        assert opened.out == expected
        assert re.fullmatch(r"from a bundle that Amends \S+ wrote at \S+Z\n", opened.err)
    ago = re.compile(r"(?<=, ).* ago|in \w+")
    assert ago.sub("", call("show", "saga.json").out) == ago.sub("", drawn)
    assert [each.name for each in (place / "elsewhere").iterdir()] == ["saga.json"]  # no store was made


def test_a_bundle_goes_through_a_pipe(three, call, monkeypatch):
    written = call("export", "01MANUAL").out
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(written.encode())))
    assert shown(call, "-")["status"] == "requires_manual"


def test_payloads_stay_at_home_when_asked_to(three, call):
    call("export", "01COMPLETED", "--no-payloads", "-O", "saga.json")
    assert shown(call, "saga.json")["input"] is None
    assert "without payloads" in call("show", "saga.json").err


def test_a_file_that_is_there_is_not_written_over(three, call, place):
    (place / "mine.json").write_text("precious")
    refused = call("export", "01MANUAL", "-O", "mine.json")
    assert refused.code == 2 and "[AM2554]" in refused.err and (place / "mine.json").read_text() == "precious"
    assert call("export", "01MANUAL", "-O", "no/such/place.json").code == 2
    assert call("export", "nobody", "-O", "new.json").code == 3 and not (place / "new.json").exists()


def test_what_is_no_bundle_is_told_so_and_a_missing_file_too(three, call, place):
    (place / "mine.json").write_text("precious")
    assert "[AM2070] mine.json is no bundle" in call("show", "mine.json").err
    missing = call("show", "gone.json")
    assert missing.code == 2 and "[AM2551] the bundle gone.json cannot be read: No such file" in missing.err


@pytest.mark.parametrize("command", ["show", "history", "why", "graph"])
def test_a_bundle_whose_frames_do_not_follow_from_each_other_is_an_input_that_is_wrong(three, call, place, command):
    call("export", "01MANUAL", "-O", "saga.json")
    content = json.loads((place / "saga.json").read_text())["content"]
    del content["frames"][3]
    data = msgspec.json.encode(content)
    head = {"format": bundle.FORMAT, "version": 1, "checksum": bundle._checksum(data), "content": msgspec.Raw(data)}
    (place / "saga.json").write_bytes(msgspec.json.encode(head))
    said = call(*("graph", "--saga") if command == "graph" else (command,), "saga.json")
    assert (said.code, said.out) == (2, "") and "[AM2073] saga.json is no bundle that this release" in said.err


def test_a_frame_before_a_damaged_one_is_shown(place, call):
    write(place / "amends.db", [*requires_manual(), (9_000, [ev.ActionStarted(999)])])
    for command in ("show", "why"):
        assert "frame 11: it does not follow" in call(command, "01MANUAL").err
        assert call(command, "01MANUAL", "--at", "10").code == 0
    drawing = call("show", "01MANUAL", "--at", "4")
    assert drawing.code == 0 and "frame 4 of 11" in drawing.out


def test_a_file_larger_than_any_bundle_is_not_read(three, call, place, monkeypatch):
    monkeypatch.setattr("amends.cli.subjects.BUNDLE_BYTES_MAX", 100)
    call("export", "01MANUAL", "-O", "saga.json")
    assert "[AM2552]" in call("show", "saga.json").err


# --- tail ----------------------------------------------------------------------------------------


def tailed(call, *argv):
    said = call("tail", "-o", "jsonl", *argv)
    assert said.code == 0, said.err
    return [json.loads(line) for line in said.out.splitlines()]


def test_tail_begins_with_the_last_events_and_says_where_to_go_on(three, call):
    everything = tailed(call, "--from", "0")
    assert len(everything) == 61 and set(everything[0]) == {
        "position", "id", "name", "version", "seq", "at", "event", "step", "details",
    }  # fmt: skip
    assert tailed(call) == everything[-10:]
    assert tailed(call, "-n", "3") == everything[-3:]
    position = everything[20]["position"]
    assert call("tail", "--from", position).err == f"go on with: amends tail --from {everything[-1]['position']}\n"
    assert tailed(call, "--from", position) == [each for each in everything if each["position"] > position]
    assert json.loads(call("tail", "-o", "json").out) == everything[-10:]


def test_tail_prints_a_line_an_event_that_fits_the_terminal(three, call, monkeypatch):
    line = call("tail", "-n", "1").out
    assert line.split() == [
        "30", "2026-11-02T10:00:05.705Z", "01MANUAL", "book_trip", "v1", "RequiresManual",
    ]  # fmt: skip
    monkeypatch.setenv("COLUMNS", "60")
    assert max(map(len, call("tail").out.splitlines())) == 60


@pytest.mark.parametrize("argv", [["-f", "-o", "json"], ["-n", "1", "--from", "1"], ["-n", "-1"], ["--from", "-1"]])
def test_what_tail_cannot_do_is_refused(three, call, argv):
    refused = call("tail", *argv)
    assert refused.code == 2 and "[AM2553]" in refused.err


def test_a_history_is_followed_to_the_end_of_its_saga(three, call):
    lines = call("history", "01COMPLETED", "-f").out.splitlines()
    assert len(lines) == len(call("history", "01COMPLETED").out.splitlines()) - 1
    assert lines[-1].split()[-1] == "Completed"
    assert call("history", "01COMPLETED", "-f", "-o", "jsonl").out == call("history", "01COMPLETED", "-o", "jsonl").out
    assert call("history", "01COMPLETED", "-f", "-o", "json").code == 2


@pytest.mark.processes
def test_tail_follows_a_worker_in_another_process_and_loses_and_doubles_nothing(place):
    tail = [sys.executable, "-c", MAIN, "tail", "-f", "-o", "jsonl", "--from", "0"]
    with worker():
        amends("start", "quick", '{"item":"pen"}', "--app", "cli_app:sagas", "--wait")
        with (place / "heard").open("w") as file:
            first = subprocess.Popen(tail, stdout=file, stderr=subprocess.PIPE, text=True)

        def ended(count):
            heard = (place / "heard").read_text()
            return heard.count('"Completed"') + heard.count('"Compensated"') == count

        until(lambda: ended(1))
        for item in ("pen", "poor", "pen"):
            amends("start", "quick", f'{{"item":"{item}"}}', "--app", "cli_app:sagas", "--wait")
        until(lambda: ended(4))
        first.send_signal(2)
        _, said = first.communicate(timeout=PATIENCE_S)
    heard = (place / "heard").read_text()
    entries = [json.loads(line) for line in heard.splitlines()]
    assert f"go on with: amends tail --from {entries[-1]['position']}" in said and first.returncode == 130
    everything = amends("tail", "--from", "0", "-o", "jsonl").stdout.splitlines()
    assert heard.splitlines() == everything
