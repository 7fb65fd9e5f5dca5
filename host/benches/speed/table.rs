//! What was measured, held against what it must be.

use std::io::Write;

use crate::Failure;

/// One thing measured.
#[derive(Debug)]
pub(crate) struct Line {
    what: &'static str,
    measured: f64,
    unit: &'static str,
    bound: Bound,
}

/// What a number must be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bound {
    /// At most this.
    AtMost(f64),
    /// At least this.
    AtLeast(f64),
    /// Nothing: it is told for comparison.
    None,
}

/// Everything measured.
#[derive(Debug, Default)]
pub(crate) struct Table(Vec<Line>);

// === impl Line ===

impl Line {
    /// How far on the good side of its bound it is; 1 is just enough.
    fn ratio(&self) -> Option<f64> {
        match self.bound {
            Bound::AtMost(most) => Some(most / self.measured),
            Bound::AtLeast(least) => Some(self.measured / least),
            Bound::None => None,
        }
    }

    fn is_short(&self) -> bool {
        // A measurement that is no number is not good either.
        self.ratio()
            .is_some_and(|ratio| ratio.is_nan() || ratio < 1.0)
    }
}

// === impl Table ===

impl Table {
    pub(crate) fn add(
        &mut self,
        what: &'static str,
        measured: f64,
        unit: &'static str,
        bound: Bound,
    ) {
        self.0.push(Line {
            what,
            measured,
            unit,
            bound,
        });
    }

    pub(crate) fn is_short(&self) -> bool {
        self.0.iter().any(Line::is_short)
    }

    pub(crate) fn print(&self) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        let width = self.0.iter().map(|line| line.what.len()).max().unwrap_or(0);
        writeln!(
            out,
            "{:width$}  {:>12} {:7}  {:>11}  {:>6}",
            "WHAT", "MEASURED", "", "TARGET", "RATIO"
        )?;
        for line in &self.0 {
            let (target, verdict) = match line.bound {
                Bound::AtMost(most) => (format!("<= {}", number(most)), verdict(line)),
                Bound::AtLeast(least) => (format!(">= {}", number(least)), verdict(line)),
                Bound::None => (String::new(), String::new()),
            };
            writeln!(
                out,
                "{:width$}  {:>12} {:7}  {target:>11}  {verdict}",
                line.what,
                number(line.measured),
                line.unit,
            )?;
        }
        Ok(())
    }
}

fn verdict(line: &Line) -> String {
    let ratio = line.ratio().unwrap_or(f64::NAN);
    let word = if line.is_short() { "SHORT" } else { "ok" };
    format!("{ratio:>6.2}  {word}")
}

/// With thousands apart, and decimals where there is little before them.
fn number(value: f64) -> String {
    let text = if value.abs() < 100.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.0}")
    };
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut grouped = String::new();
    for (index, digit) in whole.char_indices() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + rest
}
