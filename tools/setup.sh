#!/bin/sh
# Makes the virtual environment and installs this package with what its tests need.
#
#     tools/setup.sh DIRECTORY        PYTHON=... chooses the interpreter
#
# Needs Python >= 3.11 and nothing else. Where Debian's python3 comes without ensurepip, the
# environment is made without pip and filled by the host's own pip; without that too, the message
# says which package to install.
set -eu
venv=$1

fail() {
    printf 'setup: %s\n' "$*" >&2
    exit 1
}

new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() {
    for candidate in "${PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11 python; do
        if [ -n "$candidate" ] && command -v "$candidate" >/dev/null && new_enough "$candidate"; then
            command -v "$candidate"
            return
        fi
        [ -z "$candidate" ] || [ "$candidate" != "${PYTHON:-}" ] || fail "PYTHON=$PYTHON is not Python 3.11 or newer"
    done
    fail 'found no Python 3.11 or newer; install one, or name it: make PYTHON=/path/to/python3 ...'
}

if ! new_enough "$venv/bin/python"; then
    python=$(find_python)
    printf 'setup: %s -> %s\n' "$("$python" --version)" "$venv"
    if "$python" -c 'import ensurepip' 2>/dev/null; then
        "$python" -m venv --clear "$venv"
    elif "$python" -m pip --version >/dev/null 2>&1; then
        "$python" -m venv --clear --without-pip "$venv"
        "$python" -m pip --quiet --python "$venv/bin/python" install pip
    else
        fail "$python has neither ensurepip nor pip; on Debian and Ubuntu: apt-get install python3-venv"
    fi
fi
"$venv/bin/python" -m pip --version >/dev/null 2>&1 ||
    fail "$venv has no pip; remove the directory and run make again"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
