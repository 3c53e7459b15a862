# rustPlatform.importCargoLock: a vendor folder from a Cargo.lock.
{ lib, system, runCommand }:
{ lockFile ? null, lockFileContents ? builtins.readFile lockFile }:
let
  lock = builtins.fromTOML lockFileContents;
  crates = builtins.filter (p: p ? checksum) (lock.package or [ ]);

  # A crate's archive. Nix never downloads it here: `nix/host/nix seed` has cargo fetch it and adds it to
  # the store under this very name and hash, so the derivation counts as built.
  archive = { name, version, checksum, ... }: derivation {
    name = "crate-${name}-${version}.tar.gz";
    inherit system;
    builder = "/bin/bash";
    outputHashAlgo = "sha256";
    outputHashMode = "flat";
    outputHash = checksum;
    args = [ "-c" "echo 'nix/host: crate ${name} ${version} is not in the store: run nix/host/nix seed' >&2; exit 1" ];
  };
in
runCommand "cargo-vendor-dir" {
  list = lib.concatMapStrings (p: "${p.name}-${p.version} ${archive p} ${p.checksum}\n") crates;
  passAsFile = [ "list" ];
} ''
  mkdir -p $out
  while read -r dir tar sum; do
    mkdir $out/$dir
    tar xzf $tar -C $out/$dir --strip-components=1 --no-same-owner
    printf '{"files":{},"package":"%s"}' $sum > $out/$dir/.cargo-checksum.json
  done < $listPath
''
