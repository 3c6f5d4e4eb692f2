"""Writes the pages of docs/reference/ that are generated.

python tools/make_reference.py            write them
python tools/make_reference.py --check    fail if one is not what the source says
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))  # run as a script, this file's own directory is all that Python knows

from tools.reference import api, cli, errors, events, mistakes, rules, settings, ways  # noqa: E402 -- after the path

PAGES = {
    "api": api.page, "cli": cli.page, "errors": errors.page, "events": events.page, "mistakes": mistakes.page,
    "rules": rules.page, "settings": settings.page, "ways": ways.page,
}  # fmt: skip


def main(arguments: list[str]) -> int:
    """Write the pages, or compare them with what stands there."""
    stale = []
    for name, page in PAGES.items():
        target, text = ROOT / "docs" / "reference" / f"{name}.md", page()
        if target.exists() and target.read_text(encoding="utf-8") == text:
            continue
        if "--check" in arguments:
            stale.append(f"docs/reference/{name}.md")
        else:
            target.parent.mkdir(exist_ok=True)
            target.write_text(text, encoding="utf-8")
    if stale:
        sys.stderr.write(f"{', '.join(stale)}: not what the source says; run: make docs\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
