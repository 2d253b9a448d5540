# Shared by `run` and `nightly`: a fresh copy of the checkout, and steps that tell their time.
# Sourced with the checkout as the working directory.

export CI=true
export PIP_DISABLE_PIP_VERSION_CHECK=1
export PIP_NO_INPUT=1
exec </dev/null # nothing here may ask a question

checkout=$PWD
home=$(mktemp -d "${TMPDIR:-/tmp}/meshp2p-ci.XXXXXXXX")
copy=$home/checkout
current=
aside=
aside_pid=
began=$SECONDS

finish() {
  local status=$?
  cd /
  if [ -n "$aside_pid" ]; then kill "$aside_pid" 2>/dev/null || true; fi
  rm -rf "$home" 2>/dev/null || { sleep 1; rm -rf "$home" || true; } # a killed program may still write its coverage
  if [ "$status" -ne 0 ]; then
    echo "FAILED after $((SECONDS - began)) s${current:+, at: $current}" >&2
  fi
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# step NAME COMMAND...: runs the command; the first that fails ends the run.
step() {
  current=$1
  shift
  local started=$SECONDS
  printf '\n==> %s\n' "$current"
  "$@"
  printf '<== %s: %d s\n' "$current" "$((SECONDS - started))"
  current=
}

# meanwhile NAME COMMAND...: runs the command beside the next steps; `await` shows what it said.
meanwhile() {
  aside=$1
  shift
  aside_began=$SECONDS
  "$@" >"$home/aside.log" 2>&1 &
  aside_pid=$!
}

await() {
  current=$aside
  local status=0
  wait "$aside_pid" || status=$?
  aside_pid=
  printf '\n==> %s, beside the last steps\n' "$aside"
  cat "$home/aside.log"
  if [ "$status" -ne 0 ]; then return "$status"; fi
  printf '<== %s: %d s\n' "$aside" "$((SECONDS - aside_began))"
  current=
}

# readme_command NAME: the first line of the block under `<!-- NAME command -->`, so that what
# the README promises is what runs.
readme_command() {
  local command
  command=$(awk -v marker="<!-- $1 command -->" '
    index($0, marker) { found = 1; next }
    found && /^```/   { if (inside) exit; inside = 1; next }
    found && inside   { print; exit }
  ' README.md)
  if [ -z "$command" ]; then
    echo "README.md has no \`<!-- $1 command -->\` with a block of code below it" >&2
    return 1
  fi
  printf '%s\n' "$command"
}

# What is checked out, with changes not committed yet, without anything ignored. The
# developer's .venv stays out of it.
copy_checkout() {
  mkdir -p "$copy"
  if git -c safe.directory="$checkout" rev-parse --is-inside-work-tree >/dev/null 2>&1; then
    git -c safe.directory="$checkout" ls-files -z --cached --others --exclude-standard --deduplicate |
      while IFS= read -r -d '' path; do
        if [ -e "$path" ] || [ -L "$path" ]; then printf '%s\0' "$path"; fi
      done |
      tar --create --null --no-recursion --files-from=- | tar --extract --no-same-owner --directory="$copy"
  else # unpacked from an archive
    tar --create --exclude=./.venv . | tar --extract --no-same-owner --directory="$copy"
  fi
  cd "$copy"
  export PATH=$copy/.venv/bin:$PATH
}

# The line may be several commands joined by `&&`: exactly what a reader would paste.
run_readme_command() {
  local command
  command=$(readme_command "$1")
  echo "$command"
  bash -euo pipefail -c "$command"
}

# Tests that look at pictures skip without one; where we may install it, they do not.
browser() {
  if command -v chromium >/dev/null || command -v google-chrome >/dev/null; then
    echo "there is one"
  elif [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    apt-get install -qq -y --no-install-recommends chromium fonts-dejavu-core >/dev/null 2>&1 ||
      echo "it could not be installed: those tests will be skipped"
  else
    echo "none, and no right to install one: those tests will be skipped"
  fi
}
