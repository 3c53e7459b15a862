//! Hands the linker script to the linker.

fn main() {
    let here = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "none") {
        for argument in [
            &format!("-T{here}/linker.ld"),
            "-no-pie",
            "--build-id=none",
            "-zmax-page-size=4096",
            "--no-dynamic-linker",
            "--no-eh-frame-hdr",
        ] {
            println!("cargo:rustc-link-arg={argument}");
        }
    }
    println!("cargo:rerun-if-changed=linker.ld");
}
