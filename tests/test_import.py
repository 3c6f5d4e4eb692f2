"""`import amends` is light: the standard library and msgspec, nothing optional."""

import json
import subprocess
import sys

COUNT = """
import json, sys
before = set(sys.modules)
import amends
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def loaded() -> list[str]:
    done = subprocess.run([sys.executable, "-c", COUNT], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_importing_amends_loads_nothing_but_itself_msgspec_and_the_standard_library():
    # msgspec itself takes typing_extensions where somebody else has installed it; it does not need it.
    allowed = sys.stdlib_module_names | {"amends", "msgspec", "typing_extensions"}
    assert [name for name in loaded() if name.partition(".")[0] not in allowed] == []


def test_importing_amends_loads_no_part_that_serves_others():
    parts = ("amends.cli", "amends.testing", "amends.participant")
    assert [name for name in loaded() if name.startswith(parts)] == []
