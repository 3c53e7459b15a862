# Debian's rustc, cargo, clippy and rustfmt with the targets of a rust-toolchain.toml. Debian ships the
# libraries of the host's target only; those of the other targets are built here, once, from Debian's
# sources of the standard library.
{ lib, runCommand, fromDebs, musl }:
file:
let
  wanted = (builtins.fromTOML (builtins.readFile file)).toolchain;

  debian = fromDebs {
    name = "rust";
    debs = [ "rustc-web" "cargo-web" "rust-web-clippy" "rustfmt-web" ];
    also = [ "rust-web-src" "libstd-rust-web-1.96" "libstd-rust-web-dev" "libllvm22" "libc6" "libmimalloc2.0" ];
  };

  hostTarget = "x86_64-unknown-linux-gnu";
  library = "/usr/lib/rustlib/src/rust/library";

  # How each target's libraries are built, to be like the ones that rustup brings.
  recipes = {
    x86_64-unknown-none = {
      crates = "core,alloc,compiler_builtins";
      features = "compiler-builtins-mem";
      flags = "-Crelocation-model=static -Ccode-model=kernel";
      extra = "";
    };
    x86_64-unknown-linux-musl = {
      crates = "std,panic_abort";
      features = "";
      flags = "";
      # The C library and its start files beside std, so that ld.lld alone links a program. gcc's start
      # objects are empty here; of LLVM's libunwind there is as much as std names: built with panic=abort
      # it never unwinds, and a backtrace is an empty one (5 is _URC_END_OF_STACK).
      extra = ''
        mkdir $libs/self-contained
        cp ${musl}/lib/{crt1.o,crti.o,crtn.o,rcrt1.o,Scrt1.o,libc.a} $libs/self-contained/
        for object in crtbegin crtbeginS crtend crtendS; do
          as -o $libs/self-contained/$object.o /dev/null
        done
        for symbol in _Unwind_Backtrace _Unwind_GetIP _Unwind_GetIPInfo _Unwind_GetCFA _Unwind_FindEnclosingFunction; do
          result=0
          if [ $symbol = _Unwind_Backtrace ]; then result=5; fi
          printf '.globl %s\n.type %s, @function\n%s: movl $%d, %%eax\nret\n' $symbol $symbol $symbol $result
        done > unwind.s
        echo '.section .note.GNU-stack, "", @progbits' >> unwind.s
        as -o unwind.o unwind.s
        ar rcsD $libs/self-contained/libunwind.a unwind.o
      '';
    };
  };

  sysroot = target: { crates, features, flags, extra }: runCommand "rust-std-${target}" {
    nativeBuildInputs = [ debian ];
    RUSTC_BOOTSTRAP = "1"; # for -Zbuild-std, here alone
  } ''
    mkdir -p work/src work/.cargo && cd work
    echo '#![no_std]' > src/lib.rs
    cat > Cargo.toml <<EOF
    [package]
    name = "empty"
    version = "0.0.0"
    edition = "2024"
    [profile.release]
    panic = "abort"
    debug = 1
    EOF
    cat > .cargo/config.toml <<EOF
    [source.crates-io]
    replace-with = "vendored"
    [source.vendored]
    directory = "${library}/vendor"
    EOF
    export CARGO_HOME=$PWD/home __CARGO_TESTS_ONLY_SRC_ROOT=${library}
    export RUSTC=$PWD/rustc
    printf '#!/bin/bash\nexec /usr/bin/rustc --sysroot /usr "$@"\n' > rustc && chmod +x rustc
    export RUSTFLAGS="${flags} -Cforce-frame-pointers=yes -Cembed-bitcode=yes \
      --remap-path-prefix=${library}=/rust/library --remap-path-prefix=$PWD=/build"
    cargo build --offline --release --target ${target} -j$NIX_BUILD_CORES \
      -Zbuild-std=${crates} -Zbuild-std-features=${features}
    libs=$out/lib/rustlib/${target}/lib
    mkdir -p $libs
    cp target/${target}/release/deps/*.rlib $libs/
    rm -f $libs/libempty-*.rlib
    ${extra}
  '';

  sysroots = map (target: sysroot target recipes.${target}) (lib.filter (t: t != hostTarget) wanted.targets);
in
if wanted.channel != debian.version then
  throw "rust-toolchain.toml wants Rust ${wanted.channel}; this machine's Debian packages have ${debian.version}"
else
# A sysroot of links, and wrappers that name it: rustc would find the sysroot of the file that it is.
# rustc as its own project ships it brings an allocator of its own; Debian's has that of libc, and takes an eighth longer.
runCommand "rust-${debian.version}" { } ''
  mkdir -p $out/bin $out/lib/rustlib
  allocator=/usr/lib/x86_64-linux-gnu/libmimalloc.so.2.0
  if [ ! -e $allocator ]; then echo "there is no $allocator" >&2; exit 1; fi
  ln -s /usr/lib/rustlib/{${hostTarget},src,etc} $out/lib/rustlib/
  for root in ${toString sysroots}; do ln -s $root/lib/rustlib/* $out/lib/rustlib/; done
  for tool in rustc rustdoc; do
    printf '#!/bin/bash\nexport LD_PRELOAD=%s\nexec /usr/bin/%s --sysroot %s "$@"\n' $allocator $tool $out > $out/bin/$tool
  done
  for tool in cargo cargo-clippy clippy-driver cargo-fmt rustfmt; do
    printf '#!/bin/bash\nexport SYSROOT=%s LD_PRELOAD=%s\nexec /usr/bin/%s "$@"\n' $out $allocator $tool > $out/bin/$tool
  done
  chmod +x $out/bin/*
''
