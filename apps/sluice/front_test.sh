#!/bin/bash
# Tests the front: front_test.sh PATH/bin/sluice
set -u
front=$1
failed=0
fail() { echo "FAILED: $1" >&2; failed=1; }

# It links none of the engine's libraries.
needed=$(readelf -d "$front" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
for library in boost curl ssl crypto fmt spdlog pq sqlite simdjson re2; do
  if grep -qi "$library" <<<"$needed"; then fail "the front needs lib$library: $needed"; fi
done

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

exit $failed
