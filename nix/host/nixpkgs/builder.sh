# The builder of every derivation.
source $stdenv/setup
set -eo pipefail
genericBuild
