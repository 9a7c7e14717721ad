#!/bin/sh
# Creates a venv, or updates it to a lock: scripts/venv.sh <folder> [<lock>]
set -eu
venv=$1
requirements=${2:-requirements-dev.txt}
cd "$(dirname "$0")/.."
mkdir -p .backstream # holds everything that is not in git
log=.backstream/venv.log
exec 3>&2

fail() {
    echo "make: $1" >&3
    exit 1
}

suits() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' >/dev/null 2>&1
}

# The newest version that works. Each is tried: a command on PATH may be the shim of a version manager for a version
# that is not installed or not selected.
find_python() {
    for version in 3.13 3.12 3.11; do
        for candidate in "python$version" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/python3; do
            suits "$candidate" && echo "$candidate" && return
        done
    done
    suits python3 && echo python3
}

privileged() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

apt_install() {
    privileged env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
}

# On Debian and Ubuntu `python3 -m venv` needs a separate package.
install_venv_package() {
    command -v apt-get || return 1
    package=$("$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    apt_install "$package" || { privileged apt-get update && apt_install "$package"; }
}

make_venv() {
    python=$(find_python) || fail "no Python 3.11, 3.12 or 3.13 found on PATH: install one"
    rm -rf "$venv"
    "$python" -m venv "$venv" && return
    rm -rf "$venv"
    install_venv_package "$python" && "$python" -m venv "$venv" ||
        fail "$python cannot create a venv (Debian, Ubuntu: sudo apt-get install python3-venv)"
}

# Every file must have the hash that the lock has of it. A wheel runs no code while it is installed; a source would.
install() {
    "$venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check "$@" >"$log" 2>&1 || {
        cat "$log" >&2
        fail "the Python packages could not be installed; the log is $log"
    }
}

works() {
    suits "$venv/bin/python" && "$venv/bin/python" -m pip --version
}

up_to_date() {
    for file in requirements.txt "$requirements"; do
        [ "$venv/installed" -nt "$file" ] || return 1
    done
}

# Commands that start at the same time take turns, where the system has flock.
exec 9>.backstream/venv.lock
if command -v flock >/dev/null; then flock 9; fi
if works >"$log" 2>&1 && up_to_date; then exit 0; fi

echo "installing Python packages into $venv" >&2
works >"$log" 2>&1 || make_venv >"$log" 2>&1
install --require-hashes --only-binary :all: --requirement "$requirements"
# The repository itself has no hash. The lock of the development has its build backend.
if [ "$requirements" = requirements-dev.txt ]; then install --no-deps --no-build-isolation --editable .; fi
rm -f "$log"
touch "$venv/installed"
