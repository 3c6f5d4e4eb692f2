#!/bin/sh
# The peers' environment: `setup.sh DIRECTORY`. Python packages by pip, Restate's server by npm (Node 18 or newer).
# Nothing of it is ever installed beside Amends itself.
set -eu
here=$(dirname "$0")
into=$1
command -v npm >/dev/null || { echo "bench-peers needs npm (Node.js 18 or newer): Restate's server is an npm package" >&2; exit 1; }
"${PYTHON:-python3}" -m venv "$into"
"$into/bin/python" -m pip install --quiet --disable-pip-version-check -r "$here/requirements.txt"
npm install --prefix "$into/npm" --no-audit --no-fund --loglevel=error @restatedev/restate-server@^1.7 >/dev/null
