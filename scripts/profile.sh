# shellcheck shell=bash
# Sourced: reads the device profiles, targets/*.toml, from the project's root. `siskin` itself reads them with
# a TOML parser and checks every field. Here it is enough to read lines of one key and one value, because all
# profiles are written that way.

# The names of the profiles, one per line.
profile_names() {
    local file
    for file in targets/*.toml; do
        basename "$file" .toml
    done
}

# The names and titles, as a table.
profile_table() {
    local name
    for name in $(profile_names); do
        printf '  %-16s %s\n' "$name" "$(profile_field "$name" '' title)"
    done
}

# profile_field NAME SECTION KEY: a string without quotes, or a list with one item per line; nothing without
# the key.
profile_field() {
    awk -v section="$2" -v key="$3" '
        /^[ \t]*\[/ { here = $0; gsub(/[][ \t]/, "", here); next }
        here == section && $1 == key {
            sub(/^[^=]*=[ \t]*/, "")
            if (/^\[/) {
                gsub(/^\[[ \t]*|[ \t]*\].*$/, "")
                gsub(/[ \t]*,[ \t]*/, "\n")
            }
            gsub(/"/, "")
            if (length) print
        }' "targets/$1.toml"
}

# profile_check WHO NAME: prints one line and returns 2 if there is no such profile.
profile_check() {
    if [[ $2 == */* || ! -f targets/$2.toml ]]; then
        echo "$1: no profile '$2'; there are: $(profile_names | paste -sd' ')" >&2
        return 2
    fi
}
