//! Prints the n-th prime number: `primes 1` prints 2, `primes 15000` prints 163841.
//!
//! Naive on purpose: it tries every odd number by division, so it is a load that needs no
//! system call while it counts. Exit status: 0, 1 when the answer cannot be written, 2 for a wrong call.

use std::io::{self, Write};
use std::process::ExitCode;

const USAGE: &str = "usage: primes N    print the N-th prime number (N = 1 is 2)";

fn main() -> ExitCode {
    let arguments: Vec<String> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    match parse(&arguments) {
        Ok(Request::Help) => print(USAGE),
        Ok(Request::Nth(n)) => match nth_prime(n) {
            Some(prime) => print(&prime.to_string()),
            None => complain("the answer does not fit in 64 bits"),
        },
        Err(why) => complain(&format!("{why}\n{USAGE}")),
    }
}

fn print(line: &str) -> ExitCode {
    match writeln!(io::stdout(), "{line}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "primes: cannot write the answer: {error}");
            ExitCode::FAILURE
        }
    }
}

fn complain(why: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "primes: {why}");
    ExitCode::from(2)
}

#[derive(Debug, PartialEq)]
enum Request {
    Help,
    /// Which prime to print, at least 1.
    Nth(u64),
}

fn parse(arguments: &[String]) -> Result<Request, String> {
    match arguments {
        [] => Err("which prime? N is missing".to_owned()),
        [word] if word == "--help" || word == "-h" => Ok(Request::Help),
        [word] => match word.parse() {
            Ok(0) => Err("N counts from 1".to_owned()),
            Ok(n) => Ok(Request::Nth(n)),
            Err(_) => Err(format!("`{word}` is not a whole number from 1 to {}", u64::MAX)),
        },
        [_, extra, ..] => Err(format!("one number is enough, `{extra}` is too much")),
    }
}

/// The `n`-th prime, counted from 1; `None` when it (or a candidate before it) leaves 64 bits, or `n` is 0.
fn nth_prime(n: u64) -> Option<u64> {
    match n {
        0 => None,
        1 => Some(2),
        _ => {
            let mut found = 1;
            let mut candidate: u64 = 1;
            while found < n {
                candidate = candidate.checked_add(2)?;
                found += u64::from(is_odd_prime(candidate));
            }
            Some(candidate)
        }
    }
}

/// Whether an odd number above 1 has no divisor: tried up to its square root.
fn is_odd_prime(candidate: u64) -> bool {
    let mut divisor = 3;
    while divisor <= candidate / divisor {
        if candidate.is_multiple_of(divisor) {
            return false;
        }
        divisor += 2;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(list: &[&str]) -> Vec<String> {
        list.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn first_primes_are_right() {
        let first: Vec<u64> = (1..=12).filter_map(nth_prime).collect();
        assert_eq!(first, [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37]);
    }

    #[test]
    fn known_later_primes_are_right() {
        assert_eq!(nth_prime(1000), Some(7919));
        assert_eq!(nth_prime(15000), Some(163841));
    }

    #[test]
    fn squares_of_primes_are_not_prime() {
        for square in [9, 25, 49, 121, 169, 4_294_836_225_u64] {
            assert!(!is_odd_prime(square), "{square}");
        }
    }

    #[test]
    fn there_is_no_prime_number_zero() {
        assert_eq!(nth_prime(0), None);
        assert_eq!(parse(&words(&["0"])), Err("N counts from 1".to_owned()));
    }

    #[test]
    fn wrong_calls_are_refused_with_the_reason() {
        assert!(parse(&[]).unwrap_err().contains("missing"));
        assert!(parse(&words(&["-3"])).unwrap_err().contains("`-3`"));
        assert!(parse(&words(&["18446744073709551616"])).is_err());
        assert!(parse(&words(&["1", "2"])).unwrap_err().contains("`2`"));
        assert_eq!(parse(&words(&["--help"])), Ok(Request::Help));
        assert_eq!(parse(&words(&["7"])), Ok(Request::Nth(7)));
    }
}
