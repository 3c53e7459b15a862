//! The system that builds must pass what it is meant to judge: all system tests run on the host.

use std::process::Command;

#[test]
fn host_passes_all_system_tests() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_systest")).arg("--failures").output().expect("it was built");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.trim_end().ends_with("skipped"), "the last line counts: {text}");
}
