#!/usr/bin/env bash
# libz-sys 1.1.31 (crates.io): its two ways to build zlib-ng.
# Guess: the features `zlib-ng`, which needs cmake, and `zlib-ng-no-cmake-experimental-community-maintained`, which does
#   not, give the same library; a build that lacks something fails, or a program that is linked with it says so at once.
# Seen (x86_64 Linux): without cmake it builds and links without a word, `zlibVersion()` answers as it should, and every
#   compression ends with Z_VERSION_ERROR (-6), "functable failed initialization!" on stderr. With cmake all is well.
#   A program that only asks for the version, or compresses nothing in its tests, is shipped broken.
set -euo pipefail
command -v cmake >/dev/null || { echo "cmake is needed for the other half" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir src
cat >src/main.rs <<'RUST'
fn main() {
    let text = b"some text, some text, some text";
    let mut packed = [0u8; 100];
    let mut length = packed.len() as libz_sys::uLongf;
    // SAFETY: both slices are longer than what zlib is told, and the version is a constant of it.
    let (code, version) = unsafe {
        let code = libz_sys::compress(packed.as_mut_ptr(), &mut length, text.as_ptr(), text.len() as _);
        (code, std::ffi::CStr::from_ptr(libz_sys::zlibVersion()))
    };
    println!("{} {code}", version.to_string_lossy());
}
RUST
built_with() {
    printf '[package]\nname = "packs"\nversion = "0.0.0"\nedition = "2021"\n[dependencies.libz-sys]\n' >Cargo.toml
    printf 'version = "=1.1.31"\ndefault-features = false\nfeatures = ["%s"]\n' "$1" >>Cargo.toml
    cargo run --quiet 2>"$1.stderr"
}
seen=
for feature in zlib-ng zlib-ng-no-cmake-experimental-community-maintained; do
    said=$(built_with "$feature")
    printf '%-52s version and code: %s; %s\n' "$feature" "$said" "$(tail -n 1 "$feature.stderr")"
    seen+="$said;"
done
[[ $seen == "1.3.1.zlib-ng 0;1.3.1.zlib-ng -6;" ]] || { echo "this has changed: $seen" >&2; exit 1; }
