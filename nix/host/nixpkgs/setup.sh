# $stdenv/setup: sourced by builder.sh and by `nix develop`.
initialPath=@initial@
_path=
for _input in $nativeBuildInputs $buildInputs; do
  if [ -d "$_input/bin" ]; then _path="$_path${_path:+:}$_input/bin"; fi
done
if [ -n "${IN_NIX_SHELL:-}" ]; then
  PATH="$_path${_path:+:}$initialPath/bin${PATH:+:$PATH}"
else
  PATH="$_path${_path:+:}$initialPath/bin"
fi
export PATH
export SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-315532800}" TZ=UTC LC_ALL=C.UTF-8
export NIX_BUILD_CORES="${NIX_BUILD_CORES:-1}"
if [ "$NIX_BUILD_CORES" = 0 ]; then NIX_BUILD_CORES=$(nproc); fi
unset _path _input

genericBuild() {
  if [ -z "${buildCommand:-}${buildCommandPath:-}" ]; then
    echo "host package set: only derivations with a buildCommand are supported" >&2
    exit 1
  fi
  if [ -n "${buildCommandPath:-}" ]; then source "$buildCommandPath"; else eval "$buildCommand"; fi
}
