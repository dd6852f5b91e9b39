//! What the bench prints.

use std::io::Write;

/// Prints one line; a closed pipe is no reason to fail.
pub(crate) fn line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Prints a figure beside what we aim for.
pub(crate) fn row(what: &str, got: f64, unit: &str, aim: Option<f64>) {
    let verdict = match aim {
        Some(aim) if got <= aim => format!("reached (aim <= {aim} {unit})"),
        Some(aim) => format!("NOT REACHED (aim <= {aim} {unit})"),
        None => "for comparison".to_owned(),
    };
    line(&format!("{what:<58} {got:>10.3} {unit:<8} {verdict}"));
}

/// Prints a figure that is to be no less than what we aim for.
pub(crate) fn at_least(what: &str, got: f64, unit: &str, aim: f64) {
    let verdict = if got >= aim { "reached" } else { "NOT REACHED" };
    line(&format!("{what:<58} {got:>10.3} {unit:<8} {verdict} (aim >= {aim} {unit})"));
}

/// The value below which `percent` of the sorted values lie.
pub(crate) fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let at = (sorted.len().saturating_sub(1)) * percent / 100;
    sorted.get(at).copied().unwrap_or(f64::NAN)
}
