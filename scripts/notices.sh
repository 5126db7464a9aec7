# shellcheck shell=bash
# Sourced: prints the licences of everything in the program, from the sources that cargo has fetched.

# notices TRIPLE: each crate with its licence files. A text that was printed before is referred to, not
# repeated.
notices() {
    local name version licence folder file sum
    local -A seen=()
    echo "siskin contains the work of others. Their licences:"
    while IFS='|' read -r name version licence; do
        folder=$(find "${CARGO_HOME:-$HOME/.cargo}"/registry/src -maxdepth 2 -type d -name "$name-${version#v}" | head -n 1)
        [[ -n $folder ]] || continue
        printf '\n==== %s %s (%s)\n' "$name" "$version" "$licence"
        while read -r file; do
            sum=$(sha256sum <"$file")
            if [[ -n ${seen[$sum]:-} ]]; then
                echo "${file#"$folder/"}: the same text as for ${seen[$sum]}"
            else
                seen[$sum]="$name ${file#"$folder/"}"
                printf '%s:\n' "${file#"$folder/"}"
                cat "$file"
            fi
        done < <(find "$folder" -maxdepth 4 -type f \( -iname 'LICEN[CS]E*' -o -iname 'COPYING*' -o -iname 'NOTICE*' \) | LC_ALL=C sort)
    done < <(cargo tree --locked --edges normal --features static --target "$1" --prefix none --format '{p}|{l}' |
        sed -E 's/ \(proc-macro\)//; s/ \(\*\)//; s/^([^ ]+) (v[^ |]+)[^|]*\|/\1|\2|/' | LC_ALL=C sort -u)
    printf '\n==== the Rust standard library (MIT OR Apache-2.0)\nhttps://www.rust-lang.org/policies/licenses\n'
    printf '\n==== GCC runtime libraries (libgomp, libstdc++, libgcc)\n'
    echo "GNU General Public License, version 3, with the GCC Runtime Library Exception, version 3.1, under which"
    echo "programs that link them may be distributed under their own terms: https://www.gnu.org/licenses/gcc-exception-3.1.html"
}
