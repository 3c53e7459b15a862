# Packages made of links to files of installed Debian packages.
# `host` is what nix/host/nix wrote: { "<deb>" = { version = "..."; bins = [ "/usr/bin/..." ]; }; }
{ lib, system, host }:
let
  deb = name: host.${name} or (throw "nix/host: Debian package '${name}' is not installed: run nix/host/setup");
  # 1:7.2+dfsg-7 -> 7.2, since store names know neither ':' nor '~'
  upstream = name: builtins.elemAt (builtins.match "([0-9]+:)?([0-9][0-9.]*).*" (deb name).version) 1;
in
# name: nixpkgs' name; debs: whose programs go to bin/; also: packages whose version matters too;
# links: { "<path in the package>" = "<file of the machine>"; }; version: the package it is named by;
# post: shell lines run in the end.
{ name, debs, also ? [ ], links ? { }, version ? builtins.head debs, post ? "", passthru ? { } }:
derivation {
  name = "${name}-${upstream version}";
  inherit system post;
  builder = "/bin/bash";
  bins = lib.concatMap (d: (deb d).bins) debs;
  links = lib.concatStrings (lib.mapAttrsToList (dst: src: "${dst} ${src}\n") links);
  versions = map (d: "${d}=${(deb d).version}") (debs ++ also);
  args = [ "-euc" ''
    PATH=/usr/bin
    mkdir -p $out/bin
    for program in $bins; do ln -sf $program $out/bin/; done
    while read -r dst src; do
      [ -n "$dst" ] || continue
      [ -e "$src" ] || { echo "nix/host: $src is missing" >&2; exit 1; }
      mkdir -p "$(dirname "$out/$dst")"
      ln -sfT "$src" "$out/$dst"
    done <<< "$links"
    eval "$post"
  '' ];
} // { pname = name; version = upstream version; } // passthru
