# shellcheck shell=bash
# Sourced by the scripts that need packages of the distribution.

# install_packages WHO PACKAGE...: installs through apt, as root or with sudo. If it cannot, it prints one
# line that names the packages and returns 1.
install_packages() {
    local who=$1
    shift
    if ! command -v apt-get >/dev/null; then
        echo "$who: install these packages with your package manager, then run this again: $* (Debian's names)" >&2
        return 1
    fi
    local as_root=()
    if [[ $EUID -ne 0 ]]; then
        if ! command -v sudo >/dev/null; then
            echo "$who: run as root: apt-get install $*" >&2
            return 1
        fi
        as_root=(sudo)
    fi
    echo "$who: installing $*" >&2
    local log
    log=$(mktemp)
    if ! { "${as_root[@]}" apt-get update -q &&
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"; } \
        >"$log" 2>&1; then
        echo "$who: apt-get could not install $*: $(grep -m 1 '^E:' "$log" || tail -n 1 "$log")" >&2
        rm -f "$log"
        return 1
    fi
    rm -f "$log"
}
