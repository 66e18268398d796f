#!/bin/sh
# Makes .venv from requirements-dev.txt: idempotent, resumable, safe to run twice at once.
# Run by make from the root of the checkout; prints nothing when there is nothing to do.
set -eu
umask 022

# Nothing of an interpreter that is only being looked for may lie in a .venv that is not made yet.
unset PYTHONPYCACHEPREFIX
export PYTHONDONTWRITEBYTECODE=1

venv=.venv
stamp=$venv/.passwordless-postgres
incomplete=$venv/.incomplete
# The paths are part of it: console scripts hold absolute ones.
wanted=$(
    {
        pwd -P
        cat requirements-setup.txt requirements-dev.txt
    } | sha256sum | cut -d ' ' -f 1
)

say() { printf '%s\n' "$*" >&2; }
fail() {
    say "error: $*"
    exit 1
}
ready() {
    [ ! -e "$incomplete" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && "$venv/bin/python" -c '' 2>/dev/null
}

ready && exit 0

# A second make waits here for the first one instead of working on the same files.
if command -v flock >/dev/null 2>&1; then
    exec 9<requirements-setup.txt
    flock -n 9 || say "another make is setting up $venv: waiting for it"
    flock 9
    ready && exit 0
fi

python=
for candidate in python3 python3.13 python3.12 python3.11; do
    path=$(command -v "$candidate") || continue
    if "$path" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        python=$path
        break
    fi
done
[ -n "$python" ] || fail "no Python >= 3.11 on PATH (looked for python3, python3.13, python3.12, python3.11;" \
    "python3 is $(python3 --version 2>/dev/null || echo missing)). Install one, for example:" \
    "apt-get install python3 python3-venv"

# What was begun and not finished, or made elsewhere, is made anew; its downloads are kept.
if [ -e "$incomplete" ] || { [ -d "$venv" ] && ! "$venv/bin/python" -c '' 2>/dev/null; }; then
    say "$venv is unfinished: making it again"
    find "$venv" -mindepth 1 -maxdepth 1 ! -name downloads ! -name .incomplete -exec rm -rf {} +
fi

mkdir -p "$venv"
: >"$incomplete"
rm -f "$stamp"
started=$(date +%s)
say "$venv: $("$python" --version) from $python"
pip="$venv/bin/python -m pip"
if [ ! -x "$venv/bin/python" ]; then
    if "$python" -c 'import ensurepip' 2>/dev/null; then
        "$python" -m venv "$venv" >&2
    elif "$python" -m pip --version >/dev/null 2>&1; then
        "$python" -m venv --without-pip "$venv" >&2
    else
        fail "$python has neither ensurepip nor pip, so it cannot make a virtual environment." \
            "Install them: apt-get install python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
    fi
fi
$pip --version >/dev/null 2>&1 || pip="$python -m pip"

if ! "$venv/setup/bin/uv" --version >/dev/null 2>&1 ||
    ! cmp -s requirements-setup.txt "$venv/setup/requirements-setup.txt"; then
    say "$venv: installing uv"
    rm -rf "$venv/setup"
    PIP_USER=0 $pip install --quiet --disable-pip-version-check --no-cache-dir --no-deps \
        --require-hashes --only-binary :all: --target "$venv/setup" -r requirements-setup.txt >&2 ||
        fail "pip could not install uv. Check that pip reaches its package index (pip config list)."
    cp requirements-setup.txt "$venv/setup/requirements-setup.txt"
fi

# uv does not read pip's configuration. Who has told pip where packages come from need not tell uv again.
pip_setting() {
    for scope in :env: install global; do
        $pip config get "$scope.$1" 2>/dev/null && return 0
    done
    return 0
}
if [ -z "${UV_DEFAULT_INDEX-}${UV_INDEX_URL-}${UV_CONFIG_FILE-}" ] && [ ! -e "${XDG_CONFIG_HOME:-$HOME/.config}/uv/uv.toml" ]; then
    index=$(pip_setting index-url)
    extra=$(pip_setting extra-index-url)
    proxy=$(pip_setting proxy)
    [ -z "$index" ] || export UV_DEFAULT_INDEX="$index"
    [ -z "$extra" ] || export UV_INDEX="$extra"
    [ -z "$proxy" ] || export HTTPS_PROXY="${HTTPS_PROXY:-$proxy}" HTTP_PROXY="${HTTP_PROXY:-$proxy}"
fi
if [ -z "${SSL_CERT_FILE-}" ]; then
    certificates=$(pip_setting cert)
    [ -z "$certificates" ] || export SSL_CERT_FILE="$certificates"
fi
# Where the machine has certificates of its own they hold, as for everything else on it.
for bundle in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/ca-bundle.pem; do
    [ ! -s "$bundle" ] || export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-true}"
done

say "$venv: installing $(grep -c '^[a-z].*==' requirements-dev.txt) packages"
{
    UV_CACHE_DIR=$venv/downloads UV_PYTHON_DOWNLOADS=never VIRTUAL_ENV=$PWD/$venv \
        "$venv/setup/bin/uv" pip sync --require-hashes --python "$venv/bin/python" requirements-dev.txt 2>&1 ||
        echo failed >"$incomplete"
} | grep -v '^ [+~-] ' >&2 || true
[ ! -s "$incomplete" ] || fail "uv could not install requirements-dev.txt; run make again to go on where it stopped."

printf '%s\n' "$wanted" >"$stamp"
rm -rf "$venv/downloads" "$incomplete"
say "$venv: ready after $(($(date +%s) - started)) s"
