# The Rust workspace: its crates, one way to call cargo on them, and what comes of it.
#
# A build in two layers: first everything that comes from outside, against empty stand-ins for our own
# crates; then our crates on top of that `target` folder. The first layer changes only with a manifest or
# the lock file, so an edit of a source file costs the compilation of our own crates alone.
{ lib, runCommand, runCommandCC, writeShellApplication, rustPlatform, llvmPackages, e2fsprogs, mtools, dosfstools, xorriso, toolchain
  # Where the sources are.
, root ? ../.
}:
let

  subfolders = path: map (name: "${path}/${name}") (lib.attrNames
    (lib.filterAttrs (_: type: type == "directory") (builtins.readDir (root + "/${path}"))));
  manifest = member: builtins.fromTOML (builtins.readFile (root + "/${member}/Cargo.toml"));
  package = member: (manifest member).package.name;

  # The workspace's members, as Cargo.toml has them.
  libraries = subfolders "kernel/lib";
  programs = subfolders "userland";
  members = [ "kernel" "kernel/machine" ] ++ libraries ++ programs;

  # What a build sees: all of `folders`, and of the other members the manifests, for cargo wants those.
  sourcesOf = folders:
    let
      shared = [ "Cargo.toml" "Cargo.lock" ".cargo" ".cargo/config.toml" ];
      manifests = map (member: "${member}/Cargo.toml") members;
      parents = [ "kernel" "kernel/lib" "userland" ] ++ members;
      kept = shared ++ manifests ++ parents ++ folders;
    in
    builtins.path {
      name = "rust-os-source";
      path = root;
      filter = path: _:
        let relative = lib.removePrefix "${toString root}/" (toString path);
        in lib.elem relative kept || lib.any (folder: lib.hasPrefix "${folder}/" relative) folders;
    };

  # An empty crate in the place of each member that is not in `folders`, lest cargo miss its targets.
  standIns = folders: lib.concatMapStrings (member:
    let
      source = root + "/${member}/src";
      isHere = path: builtins.pathExists (source + "/${path}");
      binaries = lib.optionals (isHere "bin") (map (file: "bin/${file}") (lib.attrNames (builtins.readDir (source + "/bin"))));
      # One for the bare machine, one with a standard library.
      program = if member == "kernel" then ./empty/kernel.rs else ./empty/program.rs;
      copy = file: path: ''
        install -D -m 644 ${file} ${member}/src/${path}
      '';
    in
    lib.optionalString (!lib.any (folder: folder == member || lib.hasPrefix "${folder}/" member) folders) (
      lib.optionalString (isHere "lib.rs") (copy ./empty/library.rs "lib.rs")
      + lib.optionalString (isHere "main.rs") (copy program "main.rs")
      + lib.concatMapStrings (copy program) binaries
    )) members;

  # Copies, not the links of importCargoLock: rustc records where a link leads to, and only one prefix is
  # mapped away.
  vendor = runCommand "rust-os-vendor" { } ''
    mkdir $out
    for crate in ${rustPlatform.importCargoLock { lockFile = root + "/Cargo.lock"; }}/*/; do
      cp -rL $crate $out/$(basename $crate)
    done
  '';

  # Runs `script`, which calls cargo, in a copy of the workspace.
  #   folders: whose sources it sees; layer: a derivation with the `target` folder to start from;
  #   compiled: those of `folders` that the layer has compiled already;
  #   since: sources that the layer was compiled from, where only what differs from them is new;
  #   place: where the workspace lies, for the check that nothing of it gets into the products.
  cargo = { name, folders, script, layer ? null, compiled ? [ ], since ? null, place ? "source", tools ? [ ] }:
    runCommandCC name {
      nativeBuildInputs = [ toolchain llvmPackages.lld ] ++ tools;
      src = sourcesOf folders;
    } ''
      mkdir -p ${place} home
      cat > home/config.toml <<END
      [source.crates-io]
      replace-with = "vendored"
      [source.vendored]
      directory = "${vendor}"
      END
      export CARGO_HOME=$PWD/home CARGO_BUILD_JOBS=$NIX_BUILD_CORES CARGO_INCREMENTAL=0
      export CARGO_TERM_PROGRESS_WHEN=never CARGO_TERM_COLOR=never TERM=dumb

      cp -r $src/. ${place}
      chmod -R u+w ${place}
      cd ${place}
      ${standIns folders}
      ${lib.optionalString (layer != null) ''
        cp -r ${layer}/target target
        chmod -R u+w target
        # Cargo compiles a crate whose sources are younger than what it made of them.
        find target -exec touch -h -d @1000000000 {} +
        ${lib.concatMapStrings (folder: ''
          find ${folder} -exec touch -h -d @900000000 {} +
        '') compiled}
        ${lib.optionalString (since != null) (lib.concatMapStrings (folder: ''
          find ${folder} -exec touch -h -d @900000000 {} +
          { diff -rq ${since}/${folder} ${folder} || [ $? = 1 ]; } | sed -n 's/^Files .* and \(.*\) differ$/\1/p' | xargs -r -d '\n' touch
        '') folders)}
      ''}

      # These join the flags in .cargo/config.toml.
      mapped="--remap-path-prefix=$PWD=/rust-os --remap-path-prefix=${vendor}=/vendor"
      export CARGO_TARGET_X86_64_UNKNOWN_NONE_LINKER=ld.lld
      export CARGO_TARGET_X86_64_UNKNOWN_NONE_RUSTFLAGS="$mapped"
      # A static program from ld.lld alone: musl and its start files lie in the target's own folder.
      export CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_LINKER=ld.lld
      export CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_RUSTFLAGS="$mapped -Clinker-flavor=ld.lld \
        -Clink-self-contained=yes -Ctarget-feature=+crt-static -Crelocation-model=static"

      ${script}
    '';

  keepTarget = "mkdir $out; cp -r target $out/";

  # A layer: the same command on empty crates, and the `target` folder that comes of it.
  # On top of another layer it compiles the crates in `folders` as well.
  layer = { name, build, folders ? [ ], below ? null }: cargo {
    name = "${name}-layer";
    inherit folders;
    layer = below;
    script = build + keepTarget;
  };
  layered = { name, build, install, folders, below ? layer { inherit name build; }, compiled ? [ ] }: cargo {
    inherit name folders compiled;
    script = build + install;
    layer = below;
  };

  # All in one step and in another folder.
  wholly = { name, build, install, folders, ... }: cargo {
    inherit name folders;
    script = build + install;
    place = "another/place";
  };

  profileFolder = profile: if profile == "dev" then "debug" else profile;

  # Evaluates ACPI tables on the machine that builds, for the check `acpi`.
  evaluate-aml = layered {
    name = "evaluate-aml";
    folders = [ "kernel/lib/aml" ];
    build = ''
      cargo build --frozen --release --package aml --bin evaluate-aml
    '';
    install = ''
      mkdir -p $out/bin
      cp target/release/evaluate-aml $out/bin/
    '';
  };

  # Puts the names and call frames of its functions into a linked kernel, for backtraces.
  embed-symbols = layered {
    name = "embed-symbols";
    folders = [ "kernel/lib/ksyms" "kernel/lib/unwind" ];
    build = ''
      cargo build --frozen --release --package ksyms --features embed --bin embed-symbols
    '';
    install = ''
      mkdir -p $out/bin
      cp target/release/embed-symbols $out/bin/
    '';
  };

  kernelCommand = profile: features: ''
    cargo build --frozen --package kernel --target x86_64-unknown-none --profile ${profile} --features "${features}"
  '';
  kernelArgs = { name, profile ? "release", features ? "" }: {
    inherit name;
    folders = [ "kernel" ];
    build = kernelCommand profile features;
    # Outside crates, then our own below the crate `kernel`, in which most edits are.
    compiled = [ "kernel/lib" "kernel/machine" ];
    below = layer {
      name = "kernel-${profile}-machine";
      build = kernelCommand profile "";
      folders = [ "kernel/lib" "kernel/machine" ];
      below = layer {
        name = "kernel-${profile}";
        build = kernelCommand profile "";
      };
    };
    install = ''
      mkdir $out
      cp target/x86_64-unknown-none/${profileFolder profile}/kernel $out/kernel.debug
      # Call frames of the standard library are there.
      strip --strip-debug --keep-section=.debug_frame -o $out/kernel.elf $out/kernel.debug
      ${embed-symbols}/bin/embed-symbols $out/kernel.elf
    '';
  };

  # The crate `kernel` compiled step by step: what rustc keeps of that lets it compile a later version in seconds. The code is a
  # little slower (less is inlined), so this is for the kernel that is being worked on, never for an image.
  stepwise = profile: ''
    unset CARGO_INCREMENTAL
    cat >> $CARGO_HOME/config.toml <<END
    [profile.${profile}]
    incremental = false
    package.kernel.incremental = true
    END
  '';
  kernelSources = sourcesOf [ "kernel" ];
  kernelSteps = profile:
    let whole = kernelArgs { name = "kernel"; inherit profile; };
    in cargo {
      name = "kernel-${profile}-steps";
      inherit (whole) folders compiled;
      layer = whole.below;
      script = stepwise profile + whole.build + keepTarget;
    };

  # The kernel on top of what is left of compiling that of `base`, another version of this workspace. `edit`: commands that
  # change the sources first.
  kernelOn = base: { edit ? "", ... }@args:
    let
      whole = kernelArgs (removeAttrs args [ "edit" ]);
      profile = args.profile or "release";
    in cargo {
      inherit (whole) name folders;
      layer = base.kernelSteps profile;
      since = base.kernelSources;
      script = edit + stepwise profile + whole.build + whole.install;
    };

  userlandArgs = {
    name = "userland";
    folders = [ "userland" "kernel/lib" ];
    build = ''
      cargo build --frozen --release --target x86_64-unknown-linux-musl ${packages programs}
    '';
    install = ''
      mkdir -p $out/bin $out/debug
      find target/x86_64-unknown-linux-musl/release -maxdepth 1 -type f -executable -exec cp {} $out/debug/ \;
      for program in $out/debug/*; do strip -o $out/bin/$(basename $program) $program; done
    '';
  };

  packages = lib.concatMapStringsSep " " (member: "--package ${package member}");
  onHost = "--workspace --exclude kernel --exclude machine";
  bare = "--package kernel --package machine --target x86_64-unknown-none";

  # A check by cargo. One layer serves them all. Without debug information, which nobody looks at here.
  fastProfile = "export CARGO_PROFILE_DEV_DEBUG=0\n";
  check = name: tools: run: cargo {
    name = "check-${name}";
    folders = members;
    script = "cp ${root + "/clippy.toml"} clippy.toml\n" + fastProfile + run + "touch $out";
    layer = layer {
      name = "checks";
      build = fastProfile + ''
        cargo clippy --frozen ${bare}
        cargo clippy --frozen ${onHost} --all-targets
        cargo test --frozen ${onHost} --no-run
      '';
    };
    inherit tools;
  };
in
{
  # The shapes of characters that the kernel draws, for tests that read the screen.
  font = "${vendor}/embedded-graphics-unicodefonts-0.2.0/src/raw/mono_9x18.data";

  # Where /vendor in the line tables is.
  inherit vendor;

  # Everything that cargo knows.
  sources = sourcesOf members;

  # The kernel: $out/kernel.elf, and with the debugger's sections $out/kernel.debug. `kernel-tests` has the in-kernel tests in it.
  kernel = layered (kernelArgs { name = "kernel"; });
  kernel-debug = layered (kernelArgs { name = "kernel-debug"; profile = "dev"; });
  kernel-debug-tests = layered (kernelArgs { name = "kernel-debug-tests"; profile = "dev"; features = "tests"; });
  kernel-tests = layered (kernelArgs { name = "kernel-tests"; features = "tests"; });

  inherit kernelSources kernelSteps kernelOn evaluate-aml;

  # One word of its messages is another, for the check `edited`.
  kernel-edited = kernelOn { inherit kernelSources kernelSteps; } {
    name = "kernel-edited";
    edit = "sed -i 's|init: starting {path}|init: started as edited, {path}|' kernel/src/init.rs\n";
  };

  # Our programs, static: $out/bin/*, and with the debugger's sections $out/debug/*.
  userland = layered userlandArgs;

  # The same in one step and in another folder, for the check `reproducible`.
  elsewhere = {
    kernel = wholly (kernelArgs { name = "kernel"; });
    userland = wholly userlandArgs;
  };

  # The checks that call cargo.
  checks = {
    format = cargo {
      name = "check-format";
      folders = members;
      script = ''
        cp ${root + "/rustfmt.toml"} rustfmt.toml
        cargo fmt --all --check
        touch $out
      '';
    };

    clippy = check "clippy" [ ] ''
      cargo clippy --frozen ${bare} -- -D warnings
      cargo clippy --frozen ${bare} --features kernel/tests -- -D warnings
      cargo clippy --frozen ${onHost} --all-targets -- -D warnings
    '';

    # The pure crates and the programs, on the machine that builds.
    unit-tests = check "unit-tests" [ e2fsprogs mtools dosfstools xorriso ] ''
      # The system tests have a check of their own, `systest-on-linux`.
      cargo test --frozen ${onHost} -- --skip host_passes_all_system_tests
    '';

    documentation = check "documentation" [ ] ''
      export RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links"
      cargo doc --frozen --no-deps --document-private-items ${bare}
      cargo doc --frozen --no-deps --document-private-items ${onHost}
    '';
  };

  formatter = writeShellApplication {
    name = "format";
    runtimeInputs = [ toolchain ];
    text = "exec cargo fmt --all";
  };
}
