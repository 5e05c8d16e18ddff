# Sourced by the scripts: makes .venv, or brings it up to date, and does nothing else.
# The locked packages are in requirements-dev.txt; how to renew it: CONTRIBUTING.md.

busbridge_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

busbridge_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3.13 python3.12 python3.11 python3; do
        [ -n "$candidate" ] || continue
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "busbridge needs Python 3.11 or newer on the PATH (or PYTHON=/path/to/python)" >&2
    return 1
}

busbridge_venv() {
    local venv="$busbridge_root/.venv" wanted python
    wanted=$(cat "$busbridge_root/requirements-dev.txt" "$busbridge_root/pyproject.toml" | sha256sum)
    if [ "$(cat "$venv/.wanted" 2>/dev/null)" = "$wanted" ]; then
        return
    fi
    python=$(busbridge_python) || return 1
    echo "making .venv with $("$python" --version) ..." >&2
    [ -x "$venv/bin/python" ] || "$python" -m venv "$venv" || {
        echo "cannot make a virtual environment: on Debian, apt-get install python3-venv" >&2
        return 1
    }
    "$venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r "$busbridge_root/requirements-dev.txt" || return 1
    "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e "$busbridge_root" || return 1
    echo "$wanted" >"$venv/.wanted"
}

busbridge_venv || exit 1
