//! Words for people.

use std::{
    fmt::Display,
    io::{IsTerminal as _, Write as _},
    process::ExitCode,
};

use indicatif::ProgressStyle;
use tracing_subscriber::EnvFilter;

/// Logs go to standard error, from `warn` on unless `SEGUE_LOG` says otherwise.
pub(crate) fn log_to_stderr() {
    let filter = EnvFilter::try_from_env("SEGUE_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}

/// One line on standard error. If nobody reads it any more, that is no reason to stop an export.
pub(crate) fn note(line: impl Display) {
    drop(writeln!(std::io::stderr(), "{line}"));
}

/// One line on standard output.
pub(crate) fn say(line: impl Display) {
    drop(writeln!(std::io::stdout(), "{line}"));
}

/// An error with all its causes, each said once.
pub(crate) fn failed(err: &anyhow::Error) -> ExitCode {
    let mut words = String::new();
    for cause in err.chain() {
        let text = cause.to_string();
        if !words.contains(&text) {
            if !words.is_empty() {
                words.push_str(": ");
            }
            words.push_str(&text);
        }
    }
    note(format_args!("error: {words}"));
    ExitCode::from(1)
}

/// Whether all that went wrong is that the other end of a pipe was closed.
pub(crate) fn nobody_reads(err: &anyhow::Error) -> bool {
    let broken = |err: &std::io::Error| err.kind() == std::io::ErrorKind::BrokenPipe;
    err.downcast_ref().is_some_and(broken)
        || matches!(err.downcast_ref::<csv::Error>().map(csv::Error::kind), Some(csv::ErrorKind::Io(err)) if broken(err))
}

/// Whether a person sits there: one who can see questions and answer them.
pub(crate) fn is_terminal() -> bool {
    std::io::stderr().is_terminal() && std::io::stdin().is_terminal()
}

pub(crate) fn bar_style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// Asks a question that only `y` or `yes` answers.
pub(crate) fn ask(question: &str) -> std::io::Result<bool> {
    let mut err = std::io::stderr();
    write!(err, "{question} [y/N] ")?;
    err.flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes" | "Yes"))
}

/// `1234567` as `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A name from elsewhere, on one line and without what a terminal would obey.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::{grouped, plain};

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }

    #[test]
    fn names_from_elsewhere_cannot_move_the_cursor() {
        assert_eq!(plain("a\u{1b}[2Jb\nc"), "a [2Jb c");
    }
}
