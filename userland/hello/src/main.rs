//! Greets, and shows what the kernel handed over: process ids, arguments, environment.
//!
//! The smallest program worth running first on a new kernel: it needs start-up, `write` and `exit`.
//! Exit status 0, or 1 when standard output cannot be written.

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    match greet(&mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "hello: cannot write the greeting: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Writes the whole greeting; arguments and environment are shown quoted, so odd bytes stay visible.
fn greet(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "Hello from user space!")?;
    writeln!(out, "pid {}, parent {}", std::process::id(), std::os::unix::process::parent_id())?;
    for (index, argument) in env::args_os().enumerate() {
        writeln!(out, "argument {index}: {argument:?}")?;
    }
    for (name, value) in env::vars_os() {
        writeln!(out, "environment: {name:?}={value:?}")?;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greeting_names_the_process_and_its_arguments() {
        let mut text = Vec::new();
        greet(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.starts_with("Hello from user space!\n"));
        assert!(text.contains(&format!("pid {},", std::process::id())));
        assert!(text.contains("argument 0: "));
    }

    #[test]
    fn a_failing_output_is_reported() {
        let mut nothing: &mut [u8] = &mut [];
        assert!(greet(&mut nothing).is_err());
    }
}
