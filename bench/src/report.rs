//! How results are shown: a table for people, JSON for programs.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::Value;

use crate::limits;
use crate::process;

/// What a figure counts; decides how it is written, not what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Count,
    /// Microseconds of CPU time.
    Cpu,
    /// Microseconds on the clock.
    Latency,
    Percent,
    Bytes,
    KiB,
}

impl Unit {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rounded for people, and positive")]
    fn write(self, value: f64) -> String {
        match self {
            Unit::Count => grouped(value.round() as u64),
            Unit::Cpu => format!("{value:.2} µs"),
            Unit::Latency => millis(value as u64),
            Unit::Percent => format!("{value:.1} %"),
            Unit::Bytes => format!("{} B", grouped(value.round() as u64)),
            Unit::KiB => format!("{:.2} KiB", value / 1024.0),
        }
    }
}

/// One measured number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figure {
    /// Its name in the JSON, with the unit.
    key: &'static str,
    /// Of its column; empty: in the JSON alone.
    heading: &'static str,
    unit: Unit,
    /// Absent where it could not be measured, such as CPU time of a server whose process is not known.
    value: Option<f64>,
}

impl Figure {
    /// The key by which it is known whether the generator was the limit.
    pub(crate) const GENERATOR_CPU: &'static str = "generator_cpu_percent";

    /// The key by which it is known how busy the machine was otherwise.
    pub(crate) const OTHER_CPU: &'static str = "other_cpu_percent";

    pub(crate) fn new(key: &'static str, heading: &'static str, unit: Unit, value: Option<f64>) -> Figure {
        Figure { key, heading, unit, value }
    }

    #[expect(clippy::cast_precision_loss, reason = "no count here comes near 2^53")]
    pub(crate) fn count(key: &'static str, heading: &'static str, count: u64) -> Figure {
        Figure::new(key, heading, Unit::Count, Some(count as f64))
    }
}

/// Points of a distribution of latencies: their keys and headings, in the order of [`QUANTILES`] and then the largest.
pub(crate) type LatencyNames = [(&'static str, &'static str); 4];

const QUANTILES: [f64; 3] = [0.5, 0.99, 0.999];

/// p50, p99, p99.9 and the largest; absent where nothing was recorded.
#[expect(clippy::cast_precision_loss, reason = "no latency here comes near 2^53")]
pub(crate) fn latency(names: LatencyNames, histogram: &Histogram<u64>) -> Vec<Figure> {
    let points = QUANTILES.map(|quantile| histogram.value_at_quantile(quantile)).into_iter().chain([histogram.max()]);
    let value = |micros: u64| (!histogram.is_empty()).then_some(micros as f64);
    names
        .into_iter()
        .zip(points)
        .map(|((key, heading), micros)| Figure::new(key, heading, Unit::Latency, value(micros)))
        .collect()
}

/// What is varied within one command, in words and numbers: `("subscribers", 1000)`.
pub(crate) type Setting = Vec<(&'static str, Value)>;

/// What one server did in one setting, in all rounds.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) setting: Setting,
    /// Which server, with its cores and the limits raised for it.
    pub(crate) server: String,
    pub(crate) raised: Vec<String>,
    /// Why this server cannot be measured in this setting.
    pub(crate) impossible: Option<String>,
    pub(crate) rounds: Vec<Vec<Figure>>,
}

/// Middle and ends of what the rounds gave.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct Spread {
    median: f64,
    min: f64,
    max: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Option<Spread> {
        values.sort_by(f64::total_cmp);
        let (&min, &max) = (values.first()?, values.last()?);
        let (low, high) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
        Some(Spread { median: f64::midpoint(low, high), min, max })
    }

    /// Half of the way from the least to the most, in percent of the middle.
    fn percent(self) -> f64 {
        if self.median > 0.0 { 50.0 * (self.max - self.min) / self.median } else { 0.0 }
    }
}

impl Outcome {
    fn figures(&self) -> impl Iterator<Item = (usize, &Figure)> {
        self.rounds.first().into_iter().flatten().enumerate()
    }

    fn values(&self, index: usize) -> Vec<Option<f64>> {
        self.rounds.iter().map(|round| round.get(index).and_then(|figure| figure.value)).collect()
    }

    fn spread(&self, index: usize) -> Option<Spread> {
        Spread::of(self.values(index).into_iter().flatten().collect())
    }

    /// This one's figure by the other's, round by round: what else the machine did meanwhile is in both.
    fn ratio(&self, first: &Outcome, index: usize) -> Option<Spread> {
        let pairs = self.values(index).into_iter().zip(first.values(index));
        Spread::of(pairs.filter_map(|(this, first)| Some(this? / first.filter(|first| *first > 0.0)?)).collect())
    }

    fn cell(&self, index: usize, unit: Unit) -> String {
        match self.spread(index) {
            None => "-".to_owned(),
            Some(spread) if self.rounds.len() == 1 || spread.percent() < 0.5 => unit.write(spread.median),
            Some(spread) => format!("{} ±{:.0}%", unit.write(spread.median), spread.percent()),
        }
    }

    fn all_of<'a>(&'a self, key: &'a str) -> impl Iterator<Item = f64> + 'a {
        self.rounds.iter().flatten().filter(move |figure| figure.key == key).filter_map(|figure| figure.value)
    }

    fn rounds_limited_by_the_generator(&self) -> usize {
        self.all_of(Figure::GENERATOR_CPU).filter(|percent| *percent >= limits::GENERATOR_FULL_PERCENT).count()
    }
}

/// The results of one command, with what is needed to compare them.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) measurement: &'static str,
    /// What a reader has to know beside the figures: who ran where, which limits were raised.
    pub(crate) notes: Vec<String>,
    /// Setting by setting, and in each the servers in their order.
    pub(crate) outcomes: Vec<Outcome>,
}

impl Report {
    pub(crate) fn write(&self, as_json: bool) -> anyhow::Result<String> {
        if as_json {
            return Ok(serde_json::to_string_pretty(&self)? + "\n");
        }
        let (machine, table, notes) = (process::machine(), table(&self.lines()), self.all_notes().join("\n"));
        Ok(format!("{}, {machine}\n\n{table}\n{notes}\n", self.measurement))
    }

    fn all_notes(&self) -> Vec<String> {
        let runs: usize = self.outcomes.iter().map(|outcome| outcome.rounds.len()).sum();
        let limited: usize = self.outcomes.iter().map(Outcome::rounds_limited_by_the_generator).sum();
        let mut notes = self.notes.clone();
        if limited > 0 {
            notes.push(format!(
                "The generator was the limit in {limited} of {runs} runs (its own CPU at {} % or more of its cores): \
                 throughput and latency there are its own; the server's CPU time is not touched by it.",
                limits::GENERATOR_FULL_PERCENT
            ));
        }
        let others = self.outcomes.iter().flat_map(|outcome| outcome.all_of(Figure::OTHER_CPU)).fold(0.0, f64::max);
        if others >= limits::OTHERS_MUCH_PERCENT {
            notes.push(format!(
                "Other programs used up to {others:.0} % of the machine: look at CPU time and ratios only, and at the spread."
            ));
        }
        for outcome in &self.outcomes {
            if let Some(why) = &outcome.impossible {
                notes.push(format!("{} ({}): {why}", outcome.server, words(&outcome.setting)));
            }
        }
        notes
    }

    /// The first outcome of the same setting, unless it is this one.
    fn first_beside(&self, outcome: &Outcome) -> Option<&Outcome> {
        let first = self.outcomes.iter().find(|other| other.setting == outcome.setting)?;
        (!std::ptr::eq(first, outcome)).then_some(first)
    }

    fn lines(&self) -> Vec<Vec<String>> {
        let Some(first) = self.outcomes.first() else { return Vec::new() };
        let model = self.outcomes.iter().find(|outcome| !outcome.rounds.is_empty());
        let columns: Vec<(usize, Figure)> = model.map_or_else(Vec::new, |model| {
            let shown = model.figures().filter(|(_, figure)| !figure.heading.is_empty());
            shown.map(|(index, figure)| (index, *figure)).collect()
        });
        let mut headings: Vec<String> = first.setting.iter().map(|(name, _)| (*name).to_owned()).collect();
        headings.push("server".to_owned());
        headings.extend(columns.iter().map(|(_, figure)| figure.heading.to_owned()));
        let mut lines = vec![headings];
        for outcome in &self.outcomes {
            let mut line: Vec<String> = outcome.setting.iter().map(|(_, value)| word(value)).collect();
            line.push(outcome.server.clone());
            line.extend(columns.iter().map(|(index, figure)| outcome.cell(*index, figure.unit)));
            lines.push(line);
            if let Some(first) = self.first_beside(outcome) {
                let mut line = vec![String::new(); outcome.setting.len()];
                line.push("ratio".to_owned());
                let ratio =
                    |index| outcome.ratio(first, index).map_or("-".to_owned(), |ratio| format!("{:.2}", ratio.median));
                line.extend(columns.iter().map(|(index, _)| ratio(*index)));
                lines.push(line);
            }
        }
        lines
    }
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let results: Vec<Value> =
            self.outcomes.iter().map(|outcome| json(outcome, self.first_beside(outcome))).collect();
        let mut report = serializer.serialize_map(None)?;
        report.serialize_entry("measurement", self.measurement)?;
        report.serialize_entry("version", env!("CARGO_PKG_VERSION"))?;
        report.serialize_entry("machine", &process::machine())?;
        report.serialize_entry("time_unix", &now.as_secs())?;
        report.serialize_entry("notes", &self.all_notes())?;
        report.serialize_entry("results", &results)?;
        report.end()
    }
}

/// One outcome: its setting, and each figure with its median, ends and rounds, and its ratio to the first server's.
fn json(outcome: &Outcome, first: Option<&Outcome>) -> Value {
    let figures = outcome.figures().map(|(index, figure)| {
        let spread = outcome.spread(index);
        let mut entry = serde_json::Map::new();
        for (name, value) in [
            ("median", spread.map(|spread| spread.median)),
            ("min", spread.map(|spread| spread.min)),
            ("max", spread.map(|spread| spread.max)),
        ] {
            entry.insert(name.to_owned(), value.into());
        }
        entry.insert("rounds".to_owned(), outcome.values(index).into());
        if let Some(ratio) = first.and_then(|first| outcome.ratio(first, index)) {
            entry.insert("ratio".to_owned(), serde_json::to_value(ratio).unwrap_or_default());
        }
        (figure.key.to_owned(), Value::Object(entry))
    });
    let figures: serde_json::Map<String, Value> = figures.collect();
    let setting: serde_json::Map<String, Value> =
        outcome.setting.iter().map(|(name, value)| (name.replace(' ', "_"), value.clone())).collect();
    serde_json::json!({
        "setting": setting,
        "server": outcome.server,
        "raised": outcome.raised,
        "impossible": outcome.impossible,
        "generator_was_the_limit": outcome.rounds_limited_by_the_generator() > 0,
        "figures": figures,
    })
}

fn words(setting: &Setting) -> String {
    setting.iter().map(|(name, value)| format!("{name} {}", word(value))).collect::<Vec<_>>().join(", ")
}

fn word(value: &Value) -> String {
    match value {
        Value::Number(number) => number.as_u64().map_or_else(|| number.to_string(), grouped),
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

/// Columns as wide as their widest cell, numbers to the right.
fn table(lines: &[Vec<String>]) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for line in lines {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:>width$}"));
        text.push_str(&cells.collect::<Vec<_>>().join("  "));
        text.push('\n');
    }
    text
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

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(server: &str, values: &[f64]) -> Outcome {
        let figure = |value: &f64| {
            vec![
                Figure::new("cpu_us", "CPU", Unit::Cpu, Some(*value)),
                Figure::new(Figure::GENERATOR_CPU, "", Unit::Percent, Some(10.0 * value)),
            ]
        };
        Outcome {
            setting: vec![("subscribers", 1000.into())],
            server: server.to_owned(),
            raised: Vec::new(),
            impossible: None,
            rounds: values.iter().map(figure).collect(),
        }
    }

    fn report(outcomes: Vec<Outcome>) -> Report {
        Report { measurement: "test", notes: Vec::new(), outcomes }
    }

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0, 70, 4321, 26_700].map(millis), ["0.00 ms", "0.07 ms", "4.32 ms", "26.7 ms"]);
        assert_eq!(Unit::Cpu.write(3.789), "3.79 µs");
        assert_eq!(Unit::KiB.write(2048.0), "2.00 KiB");
    }

    #[test]
    fn columns_line_up() {
        let lines = [["a", "bb"], ["1", "22"], ["333", "4"]].map(|line| line.map(str::to_owned).to_vec());
        assert_eq!(table(&lines), "  a  bb\n  1  22\n333   4\n");
    }

    #[test]
    fn time_is_shared_out() {
        assert!((micros_each(Duration::from_millis(5), 1000) - 5.0).abs() < 1e-9);
        assert!(micros_each(Duration::from_secs(1), 0) < 1e-9);
    }

    #[test]
    fn of_several_rounds_the_median_is_shown_with_its_spread() {
        let report = report(vec![outcome("this", &[2.2, 1.8, 2.0])]);
        assert_eq!(table(&report.lines()), "subscribers  server           CPU\n      1,000    this  2.00 µs ±10%\n");
    }

    #[test]
    fn two_servers_are_compared_round_by_round() {
        // The machine became slower while they were measured, which is no difference between the two.
        let report = report(vec![outcome("before", &[1.0, 2.0, 4.0]), outcome("this", &[0.5, 1.0, 2.0])]);
        assert!(table(&report.lines()).ends_with("ratio          0.50\n"), "{}", table(&report.lines()));
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["results"][0]["figures"]["cpu_us"]["ratio"], Value::Null);
        assert_eq!(json["results"][1]["figures"]["cpu_us"]["ratio"]["max"], 0.5);
        assert_eq!(json["results"][1]["figures"]["cpu_us"]["rounds"], serde_json::json!([0.5, 1.0, 2.0]));
    }

    #[test]
    fn it_is_said_when_the_generator_was_the_limit() {
        assert!(report(vec![outcome("this", &[8.9])]).all_notes().is_empty());
        let notes = report(vec![outcome("this", &[9.5, 8.0])]).all_notes();
        assert!(notes[0].starts_with("The generator was the limit in 1 of 2 runs"), "{notes:?}");
    }

    #[test]
    fn it_is_said_when_other_programs_had_much_of_the_machine() {
        let with_others = |percent| {
            let others = Figure::new(Figure::OTHER_CPU, "", Unit::Percent, Some(percent));
            report(vec![Outcome { rounds: vec![vec![others]], ..outcome("this", &[]) }]).all_notes()
        };
        assert!(with_others(3.0).is_empty());
        assert!(with_others(66.0)[0].starts_with("Other programs used up to 66 % of the machine"));
    }

    #[test]
    fn a_server_that_cannot_be_measured_has_a_line_that_says_why() {
        let cannot =
            Outcome { impossible: Some("it has no such key".to_owned()), rounds: Vec::new(), ..outcome("old", &[]) };
        let report = report(vec![cannot, outcome("this", &[2.0])]);
        assert_eq!(report.lines()[1], ["1,000", "old", "-"]);
        assert_eq!(report.all_notes(), ["old (subscribers 1,000): it has no such key"]);
    }
}
