#!/bin/sh
# A cache for shell scripts, on `sluice cache`. For bash, zsh, dash and any other POSIX shell:
#
#   . /usr/local/share/sluice/sluice-cache.sh
#   token=$(read_cache_with_ttl token) || {
#     token=$(fetch-token) && write_cache_with_metadata token "$token" 300
#   }
#
# Keys and values may be anything without a NUL. Functions return 0, or the exit code of `sluice
# cache` (4: there is no such entry). NAMESPACE is that of the caller (`sluice help cache get`) unless
# it is named. Settings, exported: SLUICE_NS, SLUICE_DIR, CACHE_SIZE_TRACKING, CACHE_PERF_MONITORING,
# LOCK_BACKOFF_STRATEGY; SLUICE_COMMAND is the program, if it is not `sluice` on the PATH.

# COMMAND [ARGUMENT…]
_sluice_cache() {
  command "${SLUICE_COMMAND:-sluice}" cache "$@"
}

# NAMESPACE COMMAND [ARGUMENT…], where an empty NAMESPACE is the caller's
_sluice_cache_in() {
  (
    if [ -n "$1" ]; then
      SLUICE_NS=$1
      export SLUICE_NS
    fi
    shift
    _sluice_cache "$@"
  )
}

# COMMAND [ARGUMENT…]: its output, a colon and its exit code, which also keeps the line ends at the
# output's end. Not every shell sets $? by a substitution among the arguments of `set`.
_sluice_with_code() {
  if "$@"; then printf ':0'; else printf ':%s' "$?"; fi
}

# get_cache_size [NAMESPACE]: the bytes of all keys and values. Takes the same time however many.
get_cache_size() {
  set -- "$(_sluice_with_code _sluice_cache_in "${1:-}" size --json)"
  [ "${1##*:}" = 0 ] || return "${1##*:}"
  set -- "${1##*\"bytes\":}"
  printf '%s\n' "${1%%,*}"
}

# Times are seconds, or with a unit: 5m, 1h30m.

# write_cache_with_metadata KEY VALUE [TTL]: stores a value for TTL (300 seconds unless told; 0: it
# does not expire).
write_cache_with_metadata() {
  if [ "${3:-300}" = 0 ]; then
    printf '%s' "$2" | _sluice_cache set -- "$1"
  else
    printf '%s' "$2" | _sluice_cache set --ttl "${3:-300}" -- "$1"
  fi
}

# read_cache_with_ttl KEY [AGE]: writes the value that has not expired, and is not older than AGE if
# that is given.
read_cache_with_ttl() {
  if [ -n "${2:-}" ]; then
    _sluice_cache get --max-age "$2" -- "$1"
  else
    _sluice_cache get -- "$1"
  fi
}

# batch_write_cache KEY VALUE [KEY VALUE]…: stores all of them, for 300 seconds, in one transaction.
# batch_write_cache TEXT, or with the TEXT on stdin: a line KEY:VALUE each; then neither may hold a
# line end, and no key a colon. Returns 3 if some could not be stored, and says why.
batch_write_cache() {
  if [ "$#" -gt 1 ] && [ "$(($# % 2))" -eq 1 ]; then
    echo "batch_write_cache: there is a key without a value: ${1}" >&2
    return 2
  fi
  if [ "$#" -gt 1 ]; then
    while [ "$#" -gt 1 ]; do
      printf 'set\0%s\0%s\0' "$1" "$2"
      shift 2
    done
  elif [ "$#" -eq 1 ]; then
    printf '%s\n' "$1" | _sluice_batch_lines
  else
    _sluice_batch_lines
  fi | {
    set -- "$(_sluice_with_code _sluice_cache batch -0 --ttl 300 | tr '\0' '\n' |
      sed -n -e '/^error$/{n;p;}' -e '$p')"
    if [ "${1##*:}" != 0 ]; then printf '%s' "${1%:*}" >&2; fi
    return "${1##*:}"
  }
}

# Lines KEY:VALUE on stdin as operations. A line that is none becomes one that fails.
_sluice_batch_lines() (
  number=0
  while IFS= read -r line || [ -n "$line" ]; do
    number=$((number + 1))
    case $line in
      *:*) printf 'set\0%s\0%s\0' "${line%%:*}" "${line#*:}" ;;
      '') ;;
      *)
        # Not what it says: it may be a part of a value.
        echo "batch_write_cache: line $number is not KEY:VALUE and was left out" >&2
        printf 'set\0\0\0'
        ;;
    esac
  done
)

# batch_read_cache KEY…: a line KEY:VALUE for each entry that there is. Ends at the first that cannot
# be read, with the exit code of `sluice cache`.
# batch_read_cache -0 KEY…: for each key "hit" and the value, or "miss" and nothing, all of them ended
# by NUL, from one transaction.
batch_read_cache() {
  if [ "${1:-}" = -0 ]; then
    shift
    while [ "$#" -gt 0 ]; do
      printf 'get\0%s\0' "$1"
      shift
    done | _sluice_cache batch -0
    return
  fi
  while [ "$#" -gt 0 ]; do
    set -- "$(_sluice_with_code _sluice_cache get -- "$1")" "$@"
    case ${1##*:} in
      0) printf '%s:%s\n' "$2" "${1%:*}" ;;
      4) ;;
      *) return "${1##*:}" ;;
    esac
    shift 2
  done
}

# enforce_cache_limits [NAMESPACE] [BYTES]: sets the limit, if BYTES is given, and deletes what has
# expired. The limit holds at every moment without it.
enforce_cache_limits() {
  if [ -n "${2:-}" ]; then
    _sluice_cache_in "${1:-}" limit --quiet --max-size "$2" >/dev/null || return
  fi
  _sluice_cache_in "${1:-}" gc --quiet
}

# rebuild_size_index [NAMESPACE]: checks everything, keeps what is intact, and writes the size.
rebuild_size_index() {
  _sluice_cache_in "${1:-}" repair --quiet && get_cache_size "${1:-}"
}

# clear_developer_cache [NAMESPACE]: deletes all entries.
clear_developer_cache() {
  _sluice_cache_in "${1:-}" clear --yes --quiet
}

# record_performance_metric OPERATION START END: counts an operation of the script's own; START and
# END are milliseconds. OPERATION is one of those that get_performance_metrics shows.
record_performance_metric() {
  [ "${CACHE_PERF_MONITORING:-enabled}" = disabled ] && return 0
  # Shells evaluate what they find in an arithmetic expression, and bash runs commands in it.
  case ${2:-x}:${3:-x} in
    *[!0-9:]* | *:*:*)
      echo "record_performance_metric: START and END are milliseconds, in digits: ${2:-}, ${3:-}" >&2
      return 2
      ;;
  esac
  if [ "${#2}" -gt 18 ] || [ "${#3}" -gt 18 ]; then
    echo "record_performance_metric: START and END are milliseconds, not $2, $3" >&2
    return 2
  fi
  # A number that begins with 0 is octal to a shell.
  while :; do
    case $2:$3 in
      0[0-9]*:*) set -- "$1" "${2#0}" "$3" ;;
      *:0[0-9]*) set -- "$1" "$2" "${3#0}" ;;
      *) break ;;
    esac
  done
  _sluice_cache stats --record "$1=$(($3 - $2))"
}

# get_performance_metrics [NAMESPACE]: {"counters":{"hits":100,…},
# "write_cache":{"count":150,"total":2250,"avg":15,…},…}
get_performance_metrics() {
  _sluice_cache_in "${1:-}" stats --json
}

# cleanup_performance_metrics [NAMESPACE]: begins the metrics anew. They do not grow without it.
cleanup_performance_metrics() {
  _sluice_cache_in "${1:-}" stats --reset --quiet
}

# acquire_lock NAME [TIME]: waits for the lock, 30 seconds unless told, and holds it until
# release_lock or the end of this shell. Returns 124 when the time is over.
acquire_lock() {
  _sluice_cache lock --hold-for "$$" --timeout "${2:-30}" -- "$1"
}

# release_lock NAME
release_lock() {
  _sluice_cache lock --hold-for "$$" --release -- "$1"
}
