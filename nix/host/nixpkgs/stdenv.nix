# stdenv.mkDerivation and the small builders of nixpkgs on top of it.
{ lib, system, fromDebs }:
let
  # What a build finds in PATH without declaring it, as in nixpkgs' stdenv.
  initialPath = fromDebs {
    name = "stdenv-path";
    debs = [
      "bash" "coreutils" "findutils" "grep" "sed" "mawk" "tar" "gzip" "xz-utils" "bzip2" "diffutils" "patch"
      "make" "gcc-12" "gcc" "binutils" "binutils-x86-64-linux-gnu"
    ];
    version = "coreutils";
    also = [ "libc6" "libc6-dev" ];
    links = {
      "bin/sh" = "/usr/bin/dash";
      "bin/awk" = "/usr/bin/mawk";
      "bin/cc" = "/usr/bin/gcc";
    };
  };

  setup = derivation {
    name = "stdenv-debian";
    inherit system;
    builder = "/bin/bash";
    args = [ "-euc" "/usr/bin/mkdir $out; /usr/bin/sed s,@initial@,${initialPath}, ${./setup.sh} > $out/setup" ];
  };

  shell = "${initialPath}/bin/bash";
in rec {
  stdenv = { inherit mkDerivation; hostPlatform = { inherit system; }; };

  mkDerivation = args:
    let
      name = args.name or "${args.pname}-${args.version}";
      drv = derivation (removeAttrs args [ "passthru" "meta" "env" "pname" "version" ] // (args.env or { }) // {
        inherit system name;
        builder = "/bin/bash";
        args = [ "-e" ./builder.sh ];
        stdenv = setup;
        outputs = [ "out" ]; # `nix develop` wants it said
        nativeBuildInputs = args.nativeBuildInputs or [ ];
        buildInputs = args.buildInputs or [ ];
      });
    in drv // { inherit name; meta = args.meta or { }; } // (args.passthru or { });

  runCommand = name: env: script: mkDerivation ({ inherit name; buildCommand = script; } // env);
  runCommandCC = runCommand;
  runCommandLocal = runCommand;

  writeTextFile = { name, text, executable ? false, destination ? "", meta ? { } }:
    runCommand name { inherit text meta; passAsFile = [ "text" ]; } ''
      mkdir -p "$(dirname "$out${destination}")"
      cp "$textPath" "$out${destination}"
      ${lib.optionalString executable ''chmod +x "$out${destination}"''}
    '';
  writeText = name: text: writeTextFile { inherit name text; };
  writeShellApplication = { name, text, runtimeInputs ? [ ], meta ? { } }: writeTextFile {
    inherit name;
    executable = true;
    destination = "/bin/${name}";
    meta = { mainProgram = name; } // meta;
    text = ''
      #!${shell}
      set -o errexit
      set -o nounset
      set -o pipefail
      export PATH="${lib.makeBinPath (runtimeInputs ++ [ initialPath ])}:$PATH"

      ${text}
    '';
  };

  mkShell = args: runCommand "shell" (removeAttrs args [ "packages" ] // {
    nativeBuildInputs = args.packages or [ ];
  }) "touch $out";

  coreutils = initialPath;
  gnugrep = initialPath;
  runtimeShell = shell;
}
