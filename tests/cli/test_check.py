"""`amends check`: what it takes, what it prints, and how it ends."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
MISTAKE = """
from amends import Saga, step


@step
async def reserve(order: str) -> None: ...


@step(pivot=True)
async def capture(order: str) -> None: ...


sell = Saga("sell", reserve, capture)
"""
RIGHT = MISTAKE.replace("@step\n", "@step(read_only=True)\n")


@pytest.fixture
def write(tmp_path):
    """Writes a module into the current directory, under a name that no other test has."""
    names = iter(range(100))

    def write(text: str) -> str:
        name = f"{tmp_path.name.replace('-', '_')}_{next(names)}"
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
        return name

    return write


def test_a_mistake_is_reported_with_its_place_its_rule_and_its_mend_and_fails(call, write):
    name = write(MISTAKE)
    done = call("check", name)
    first, mend = done.out.splitlines()
    assert first == (
        f'{name}.py:6:1: error SG005 step "reserve" has no compensation, and "capture", which comes after it, may turn '
        f"the saga back"
    )
    assert mend.startswith("    give it a compensation")
    assert done.err == "1 saga checked: 1 error\n"
    assert done.code == 1


def test_nothing_found_is_said_and_succeeds(call, write):
    done = call("check", write(RIGHT))
    assert (done.out, done.err, done.code) == ("", "1 saga checked: nothing found\n", 0)


@pytest.mark.parametrize("form", ["{0}", "{0}:sell", "{0}.py", "./{0}.py:sell"])
def test_a_target_is_a_module_or_a_file_or_an_object_in_it(call, write, form):
    assert call("check", form.format(write(MISTAKE))).code == 1


def test_several_targets_are_checked_together(call, write):
    done = call("check", write(MISTAKE), write(MISTAKE), write(RIGHT))
    assert done.err == "3 sagas checked: 2 errors\n"


def test_without_a_target_it_checks_the_app(call, write):
    assert call("check", "--app", f"{write(MISTAKE)}:sell").code == 1


def test_a_definition_that_is_refused_is_a_finding_with_the_step_s_place(call, write):
    name = write(MISTAKE.replace("@step\n", "@step(pivot=True)\n"))
    done = call("check", name)
    assert done.out.startswith(f"{name}.py:10:1: error SG003 [AM1301]")
    assert f"{name}.py:10:1: the module was left there" in done.err
    assert "Traceback" not in done.err
    assert done.code == 1


def test_a_refused_definition_of_one_target_does_not_hide_the_mistakes_of_another(call, write):
    done = call("check", write(MISTAKE.replace("@step\n", "@step(pivot=True)\n")), write(MISTAKE), "-o", "json")
    assert {finding["rule"] for finding in json.loads(done.out)} == {"SG003", "SG005"}


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("1 / 0\n", "AM2515", "division by zero"),
        ("def f(:\n", "AM2515", "SyntaxError"),
        ("import no_such_module_at_all\n", "AM2515", "no_such_module_at_all"),
        ("import sys\nraise SystemExit(0)\n", "AM2516", "__main__"),
        ("import asyncio\nasyncio.run(main())\n", "AM2517", "line 2"),
        ("x = 1\n", "AM2514", "no saga"),
    ],
)
def test_a_module_that_cannot_be_checked_says_why_in_one_line(call, write, text, code, words):
    done = call("check", write(text))
    assert done.code == 2
    assert done.out == ""
    assert f"[{code}]" in done.err
    assert words in done.err
    assert done.err.count("\n") == 1


def test_modules_that_import_each_other_in_a_circle_are_told_as_such(call, write, tmp_path):
    one = write("")
    other = write(f"from {one} import thing\nother = 1\n")
    (tmp_path / f"{one}.py").write_text(f"from {other} import other\nthing = 1\n", encoding="utf-8")
    done = call("check", one)
    assert done.code == 2
    assert "in a circle" in done.err


def test_what_a_module_would_run_is_not_run(call, write, tmp_path):
    call("check", write("import asyncio\nopen('made', 'w').close\nasyncio.run(main())\n"))
    assert not (tmp_path / "made").exists()


def test_what_a_module_prints_does_not_spoil_the_output(call, write):
    assert json.loads(call("check", write(f"print('hello')\n{RIGHT}"), "--format", "json").out) == []


@pytest.mark.parametrize("form", ["json", "sarif", "junit"])
def test_findings_are_told_to_programs_with_the_file_as_seen_from_here(call, write, form):
    name = write(MISTAKE)
    done = call("check", name, "--format", form)
    assert f'"{name}.py"' in done.out
    assert "SG005" in done.out
    assert done.code == 1


def test_infos_are_counted_and_shown_when_they_are_asked_for(call, write):
    name = write(MISTAKE.replace("reserve, ", "").replace("pivot=True", "timeout=5"))
    done = call("check", name)
    assert (done.out, done.code) == ("", 0)
    assert done.err == "1 saga checked: 1 info (1 not shown: --severity info)\n"
    assert "SG004" in call("check", name, "--severity", "info").out
    assert call("check", name, "--fail-on", "info").code == 1


def test_a_baseline_is_written_and_what_it_knows_is_not_reported(call, write):
    name = write(MISTAKE)
    assert call("check", name, "--baseline", "known.json", "--write-baseline").code == 0
    done = call("check", name, "--baseline", "known.json")
    assert (done.out, done.code) == ("", 0)
    Path(f"{name}.py").write_text(RIGHT, encoding="utf-8")
    assert "SG005" in Path("known.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("options", [["--write-baseline"], ["--baseline", "none.json"]])
def test_a_baseline_that_is_not_there_or_not_named_is_usage(call, write, options):
    done = call("check", write(RIGHT), *options)
    assert done.code == 2
    assert "[AM2519]" in done.err


def test_the_hook_for_commits_calls_this_command(call, write):
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    assert hook["id"] == "amends-check"
    program, *words = hook["entry"].split()
    assert program == "amends"
    assert call(*words, write(MISTAKE)).code == 1
    assert hook["language"] == "system"
    assert hook["pass_filenames"] is False


def test_a_rule_explains_itself_whatever_the_case(call):
    done = call("check", "--explain", "sg005")
    assert done.out.splitlines()[0] == "SG005  a step that the saga may have to undo has no compensation  (error)"
    assert done.out.splitlines()[-1].startswith("To mend it, give it a compensation")
    assert done.code == 0


def test_a_rule_that_is_none_is_usage_and_names_those_there_are(call):
    done = call("check", "--explain", "SG999")
    assert done.code == 2
    assert "[AM2540]" in done.err
    assert "SG011" in done.err


def test_of_a_directory_every_file_that_builds_a_saga_is_checked(call, tmp_path):
    below = tmp_path / "sagas" / "deep"
    below.mkdir(parents=True)
    (below / "wrong_in_a_directory.py").write_text(MISTAKE, encoding="utf-8")
    (below / "other_in_a_directory.py").write_text("raise SystemExit  # no saga here\n", encoding="utf-8")
    (tmp_path / "sagas" / ".hidden").mkdir()
    (tmp_path / "sagas" / ".hidden" / "wrong.py").write_text(MISTAKE, encoding="utf-8")
    done = call("check", "sagas")
    assert done.out.startswith("sagas/deep/wrong_in_a_directory.py:6:1: error SG005")
    assert done.err == "1 saga checked: 1 error\n"


def test_a_directory_without_a_saga_is_usage(call, tmp_path):
    (tmp_path / "empty").mkdir()
    assert call("check", "empty").code == 2


BROKEN = {
    "a missing setting": ("import os\nos.environ['NOT_SET_ANYWHERE']\n", "AM2515", "line 2"),
    "an exit below a condition": ("import sys\nif True:\n    sys.exit(3)\n", "AM2516", "line 3"),
    "a connection": ("import socket\nsocket.create_connection(('127.0.0.1', 1), 1)\n", "AM2515", "line 2"),
    "an orchestrator that is run": ("import asyncio\nasync def main(): ...\nasyncio.run(main())\n", "AM2517", "line 3"),
    "a syntax error": ("x = 1\ndef f(:\n", "AM2515", "line 2"),
    "no saga": ("x = 1\n", "AM2514", "no saga"),
}


@pytest.mark.parametrize("model", [[], ["--model"]], ids=["rules", "model"])
@pytest.mark.parametrize("why", BROKEN)
def test_a_broken_target_is_told_with_its_line_and_nothing_is_lost_of_the_others(call, write, why, model):
    text, code, words = BROKEN[why]
    broken = write(text)
    done = call("check", write(MISTAKE), broken, write(RIGHT), *model)
    assert done.code == 2
    (told,) = [line for line in done.err.splitlines() if line.startswith("amends: ")]
    assert told.startswith(f"amends: [{code}] {broken}")
    assert words in told
    assert "reserve" in done.out
    assert ("2 sagas checked" if not model else "no effect stays") in done.err


def test_every_broken_target_is_told(call, write):
    done = call("check", write("1 / 0\n"), "no_such_module_at_all", write("x = 1\n"))
    assert (done.code, done.out) == (2, "")
    assert [line.split("]")[0] for line in done.err.splitlines()] == [
        "amends: [AM2515", "amends: [AM2513", "amends: [AM2514",
    ]  # fmt: skip


def test_a_file_that_is_not_utf_8_is_named_with_its_line(call, write, tmp_path):
    name = write("")
    (tmp_path / f"{name}.py").write_bytes(b"# ok\nname = '\xe9t\xe9'\n")
    for target in (name, f"{name}.py"):
        done = call("check", target)
        assert done.code == 2
        assert "[AM2515]" in done.err and f"{name}.py" in done.err and "line 2" in done.err


def test_a_thread_that_an_import_leaves_running_is_told_and_does_not_keep_the_command_from_ending(write, tmp_path):
    name = write(f"import threading\nthreading.Thread(target=threading.Event().wait, name='poller').start()\n{RIGHT}")
    amends = Path(sys.executable).with_name("amends")
    command = [amends, "check", name, write(MISTAKE)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "started the thread poller" in done.stderr
    assert "SG005" in done.stdout
