#!/bin/bash
# Tests the front: front_test.sh PATH/bin/sluice [SANITIZERS]
set -u
front=$1
failed=0
fail() { echo "FAILED: $1" >&2; failed=1; }

# It needs no library at all, and nobody to load it; the sanitizers do.
if [ -z "${2-}" ]; then
  needed=$(readelf -d "$front" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
  [ -z "$needed" ] || fail "the front needs $needed"
  readelf -l "$front" | grep -q INTERP && fail "the front needs a loader"
fi

prefix=$(mktemp -d)
trap 'rm -rf "$prefix"' EXIT
mkdir -p "$prefix/bin" "$prefix/libexec/sluice" "$prefix/elsewhere"
cp "$front" "$prefix/bin/sluice"

# Without an engine: one sentence on stderr, and the shell's own exit code for it.
output=$("$prefix/bin/sluice" kv list 2>&1 >/dev/null); code=$?
[ $code -eq 127 ] || fail "a missing engine exits with $code, not 127"
[[ $output == *"$prefix/libexec/sluice/sluice-engine"* ]] || fail "no path in: $output"
[ "$(wc -l <<<"$output")" -eq 1 ] || fail "more than a sentence: $output"

# An engine that says how it was called.
cat > "$prefix/libexec/sluice/sluice-engine" <<'ENGINE'
#!/bin/bash
printf '<%s>' "$@"
cat
exit 42
ENGINE
output=$("$prefix/bin/sluice" 2>&1 </dev/null); code=$?
[ $code -eq 126 ] || fail "an engine that is not executable exits with $code, not 126"
chmod +x "$prefix/libexec/sluice/sluice-engine"

output=$(echo input | "$prefix/bin/sluice" kv put 'a b' '' -- -x); code=$?
[ "$output" = '<kv><put><a b><><--><-x>input' ] || fail "arguments or stdin changed: $output"
[ $code -eq 42 ] || fail "the engine's exit code 42 became $code"

# Through a symbolic link in another folder.
ln -s "$prefix/bin/sluice" "$prefix/elsewhere/sl"
output=$("$prefix/elsewhere/sl" tree </dev/null)
[ "$output" = '<tree>' ] || fail "through a symbolic link: $output"

# The cache commands that it runs itself, and those that it does not.
export HOME=$prefix/home XDG_CACHE_HOME=$prefix/cache GIT_CONFIG_NOSYSTEM=1
unset SLUICE_NS SLUICE_CONFIG SLUICE_DIR FLOWFORGE_DEVELOPER
cd "$prefix" || exit 1
"$prefix/bin/sluice" cache set key value || fail "cache set fails with $?"
output=$("$prefix/bin/sluice" cache get key)
[ "$output" = value ] || fail "cache get gives: $output"
output=$("$prefix/bin/sluice" cache exec -- echo out)
[ "$output" = out ] || fail "cache exec gives: $output"
"$prefix/bin/sluice" cache get none; code=$?
[ $code -eq 4 ] || fail "a miss exits with $code, not 4"
for words in "get key --help" "get key --config f" "get key --frob" "get" "list" "delete --pattern x" \
    "batch"; do
  # shellcheck disable=SC2086
  output=$("$prefix/bin/sluice" cache $words </dev/null)
  # shellcheck disable=SC2086
  [ "$output" = "<cache>$(printf '<%s>' $words)" ] || fail "cache $words gives: $output"
done
output=$(SLUICE_CONFIG=f "$prefix/bin/sluice" cache get key </dev/null)
[ "$output" = '<cache><get><key>' ] || fail "with SLUICE_CONFIG: $output"
output=$(env -u HOME "$prefix/bin/sluice" cache get key </dev/null)
[ "$output" = '<cache><get><key>' ] || fail "without HOME: $output"

exit $failed
