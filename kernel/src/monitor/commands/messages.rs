//! The log.

use crate::log::{self, MAX_MESSAGE, Reader};
use crate::monitor::arguments::{Arguments, Outcome, invalid};
use crate::monitor::command::Context;
use core::fmt::Write;

/// Shows the messages that the log still has, all or the last ones.
pub(in crate::monitor) fn dmesg(context: &mut Context<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    let last = arguments.optional_number::<u64>("number of messages")?;
    arguments.end()?;
    let mut reader = Reader::at_oldest();
    let end = Reader::at_newest().sequence();
    let first = end.saturating_sub(last.unwrap_or(u64::MAX));
    let mut buffer = [0; MAX_MESSAGE];
    // Those that come meanwhile, perhaps from showing the others, are left out.
    while let Some((record, text)) = reader.next(&mut buffer).filter(|(record, _)| record.sequence < end) {
        if record.sequence < first {
            continue;
        }
        let microseconds = record.header.time_ns / 1000;
        write!(context.out, "[{:5}.{:06}] ", microseconds / 1_000_000, microseconds % 1_000_000)?;
        for part in text.utf8_chunks() {
            let control = |character: char| character.is_control() && character != '\t';
            for character in part.valid().chars() {
                context.out.write_char(if control(character) { '?' } else { character })?;
            }
        }
        writeln!(context.out)?;
    }
    Ok(())
}

/// Shows or sets which messages are printed on the console.
pub(in crate::monitor) fn loglevel(context: &mut Context<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    let level = arguments.optional();
    arguments.end()?;
    if let Some(word) = level {
        match word.as_bytes() {
            [digit @ b'0'..=b'8'] => log::set_console_level(digit - b'0'),
            _ => return Err(invalid("level", word, "levels are 0 to 8")),
        }
    }
    writeln!(context.out, "messages below level {} are printed", log::console_level())?;
    Ok(())
}
