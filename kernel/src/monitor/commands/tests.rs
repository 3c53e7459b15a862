//! The in-kernel tests.

use crate::ktest;
use crate::monitor::arguments::{Arguments, Failure, Outcome};
use crate::monitor::command::Context;
use core::fmt::Write;

/// Runs the in-kernel tests, or those whose name contains a word.
pub(in crate::monitor) fn test(context: &mut Context<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    let filter = arguments.optional().unwrap_or("");
    arguments.end()?;
    if !cfg!(feature = "tests") {
        return Err(Failure::Refused("this kernel was built without the feature `tests`"));
    }
    let console = context.console;
    let counts = ktest::run_some(filter, &|| console.is_interrupted());
    writeln!(context.out, "{} tests passed, {} failed", counts.passed, counts.failed)?;
    Ok(())
}
