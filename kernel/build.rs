//! Hands the linker script to the linker, and puts the debugger's scripts (`debugger/*.py`) into the ELF.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    let here = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    if variable("CARGO_CFG_TARGET_OS") == "none" {
        for argument in [
            &format!("-T{}/linker.ld", here.display()),
            "-no-pie",
            "--build-id=none",
            "-zmax-page-size=4096",
            "--no-dynamic-linker",
            "--no-eh-frame-hdr",
        ] {
            println!("cargo:rustc-link-arg={argument}");
        }
        println!("cargo:rustc-link-arg={}", debugger(&here.join("debugger")).display());
    }
    println!("cargo:rerun-if-changed=linker.ld");
    println!("cargo:rerun-if-changed=debugger");
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"))
}

/// Makes an object file with a section `.debug_gdb_scripts`, which GDB reads and obeys: the byte 4 (Python text), a name and
/// a newline, the text, a zero byte. Source: Debugging with GDB, 23.5.2 (the .debug_gdb_scripts section).
fn debugger(folder: &Path) -> PathBuf {
    let out = PathBuf::from(variable("OUT_DIR"));
    let (section, source, object) =
        (out.join("debugger.bin"), out.join("debugger.rs"), out.join("debugger.o"));
    let script = script(folder);
    fs::write(&section, format!("\u{4}rust-os\n{script}\0")).expect("the output folder can be written");
    let length = script.len() + "\u{4}rust-os\n\0".len();
    let text = format!(
        "#![no_std]\n#[used]\n#[unsafe(link_section = \".debug_gdb_scripts\")]\n\
         static SCRIPTS: [u8; {length}] = *include_bytes!(\"debugger.bin\");\n"
    );
    fs::write(&source, text).expect("the output folder can be written");
    let mut compiler = Command::new(variable("RUSTC"));
    compiler
        .arg(&source)
        .args(["--crate-name=debugger", "--crate-type=lib", "--edition=2024", "--emit=obj"])
        .arg(format!("--target={}", variable("TARGET")))
        .args(["-Ccodegen-units=1", "-Cpanic=abort", "-o"])
        .arg(&object);
    let status = compiler.status().unwrap_or_else(|error| panic!("{compiler:?}: {error}"));
    assert!(status.success(), "{compiler:?}: {status}");
    object
}

/// One Python text of all modules: a table of their texts, and what lets Python import from it.
fn script(folder: &Path) -> String {
    let mut modules: Vec<_> = fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "py"))
        .collect();
    modules.sort();
    let mut script = String::from("RUST_OS_SOURCES = {\n");
    for path in modules {
        let text = fs::read_to_string(&path).expect("sources are text");
        let name = path.file_stem().and_then(|stem| stem.to_str()).expect("modules have plain names");
        // What Rust escapes so, Python reads the same way: ASCII without control characters but newlines.
        assert!(
            text.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte)),
            "{name} is plain ASCII"
        );
        script += &format!("    {name:?}: {text:?},\n");
    }
    script + "}\n" + include_str!("debugger/load.txt")
}
