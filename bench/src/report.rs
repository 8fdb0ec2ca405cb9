//! How results are shown: a table for people, JSON for programs.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::process;

/// The results of one command, with what is needed to compare them.
#[derive(Debug, Serialize)]
pub(crate) struct Report<R> {
    pub(crate) measurement: &'static str,
    pub(crate) version: &'static str,
    pub(crate) machine: String,
    /// When the report was made, in seconds since the Unix epoch.
    pub(crate) time_unix: u64,
    pub(crate) runs: Vec<R>,
}

impl<R: Row + Serialize> Report<R> {
    pub(crate) fn new(measurement: &'static str, runs: Vec<R>) -> Report<R> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let version = env!("CARGO_PKG_VERSION");
        Report { measurement, version, machine: process::machine(), time_unix: now.as_secs(), runs }
    }

    pub(crate) fn print(&self, as_json: bool) -> anyhow::Result<()> {
        if as_json {
            println!("{}", serde_json::to_string_pretty(self)?);
        } else {
            println!("{}, Tidings {}, {}\n", self.measurement, self.version, self.machine);
            print!("{}", table(R::HEADINGS, self.runs.iter().map(Row::cells)));
        }
        Ok(())
    }
}

/// A result that is a line of a table.
pub(crate) trait Row {
    const HEADINGS: &'static [&'static str];
    fn cells(&self) -> Vec<String>;
}

/// Columns as wide as their widest cell, numbers to the right.
fn table(headings: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut lines: Vec<Vec<String>> = vec![headings.iter().copied().map(str::to_owned).collect()];
    lines.extend(rows);
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:>width$}"));
        text.push_str(&cells.collect::<Vec<_>>().join("  "));
        text.push('\n');
    }
    text
}

/// Points of a distribution, in microseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Latency {
    pub(crate) p50_us: u64,
    pub(crate) p95_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) max_us: u64,
}

impl Latency {
    pub(crate) fn of(histogram: &Histogram<u64>) -> Latency {
        Latency {
            p50_us: histogram.value_at_quantile(0.5),
            p95_us: histogram.value_at_quantile(0.95),
            p99_us: histogram.value_at_quantile(0.99),
            max_us: histogram.max(),
        }
    }
}

/// Microseconds of `time` for each of `count` things.
#[expect(clippy::cast_precision_loss, reason = "no count here comes near 2^53")]
pub(crate) fn micros_each(time: Duration, count: u64) -> f64 {
    if count == 0 { 0.0 } else { time.as_secs_f64() * 1e6 / count as f64 }
}

/// `12346` as `12,346`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Microseconds as milliseconds with three digits that say something.
pub(crate) fn millis(micros: u64) -> String {
    match micros {
        0..10_000 => format!("{}.{:02} ms", micros / 1000, micros % 1000 / 10),
        _ => format!("{}.{} ms", micros / 1000, micros % 1000 / 100),
    }
}

/// An optional figure with a unit, or a dash.
pub(crate) fn figure(value: Option<f64>, unit: &str) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2} {unit}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0, 70, 4321, 26_700].map(millis), ["0.00 ms", "0.07 ms", "4.32 ms", "26.7 ms"]);
        assert_eq!(figure(None, "µs"), "-");
        assert_eq!(figure(Some(3.789), "µs"), "3.79 µs");
    }

    #[test]
    fn columns_line_up() {
        let rows = vec![vec!["1".to_owned(), "22".to_owned()], vec!["333".to_owned(), "4".to_owned()]];
        assert_eq!(table(&["a", "bb"], rows.into_iter()), "  a  bb\n  1  22\n333   4\n");
    }

    #[test]
    fn time_is_shared_out() {
        assert!((micros_each(Duration::from_millis(5), 1000) - 5.0).abs() < 1e-9);
        assert!(micros_each(Duration::from_secs(1), 0) < 1e-9);
    }
}
