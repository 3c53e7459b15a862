//! Builds the vDSO: compiles `vdso/vdso.rs` with the same rustc and links it with the same linker as the kernel, to
//! `vdso.so` in the output folder, which `src/time/vdso.rs` includes.

use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"));
    let here = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let out = PathBuf::from(variable("OUT_DIR"));
    for file in ["vdso", "../lib/timekeeping/src/page.rs", "../lib/timekeeping/src/rate.rs", "build.rs"] {
        println!("cargo:rerun-if-changed={file}");
    }
    let (object, library) = (out.join("vdso.o"), out.join("vdso.so"));

    let mut compiler = Command::new(variable("RUSTC"));
    compiler
        .arg(here.join("vdso/vdso.rs"))
        .args(["--crate-name=vdso", "--crate-type=lib", "--edition=2024", "--emit=obj"])
        .arg(format!("--target={}", variable("TARGET")))
        .args(["-Copt-level=3", "-Ccodegen-units=1", "-Cpanic=abort", "-Crelocation-model=pic"])
        .args(["-Ccode-model=small", "-Cforce-unwind-tables=yes", "-Coverflow-checks=off"])
        // What of page.rs only the kernel uses is not used here.
        .args(["-Adead_code", "-Dwarnings"])
        .arg(format!("--remap-path-prefix={}=/vdso", here.display()))
        .arg("-o")
        .arg(&object);
    run(compiler);

    let mut linker = Command::new(variable("RUSTC_LINKER"));
    linker
        .args([
            "-shared",
            "-soname=linux-vdso.so.1",
            "--hash-style=both",
            "--eh-frame-hdr",
            "--build-id=sha1",
        ])
        .args([
            "--no-undefined",
            "--gc-sections",
            "--strip-all",
            "-Bsymbolic",
            "-zrodynamic",
            "-znoexecstack",
        ])
        .arg("-zmax-page-size=4096")
        .arg(argument("--version-script=", &here.join("vdso/vdso.version")))
        .arg(argument("-T", &here.join("vdso/vdso.ld")))
        .arg(&object)
        .arg("-o")
        .arg(&library);
    run(linker);
}

fn argument(name: &str, path: &Path) -> String {
    format!("{name}{}", path.display())
}

fn run(mut command: Command) {
    let status = command.status().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}: {status}");
}
