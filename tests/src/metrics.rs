//! Prometheus text, as far as tests ask it.

use std::collections::{BTreeMap, BTreeSet};

/// Every series and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    /// Reads the text.
    ///
    /// # Panics
    /// Where it is none.
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let series = |line: &str| {
            let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("not a series: {line}"));
            (name.to_owned(), value.parse().unwrap_or_else(|_| panic!("not a value: {line}")))
        };
        Self(lines.map(series).collect())
    }

    /// What several processes count together: the sum of each series.
    pub fn together(of_each: impl Iterator<Item = Self>) -> Self {
        let mut sums = BTreeMap::new();
        for (series, value) in of_each.flat_map(|metrics| metrics.0) {
            *sums.entry(series).or_insert(0.0) += value;
        }
        Self(sums)
    }

    /// The series there are.
    pub fn names(&self) -> BTreeSet<&str> {
        self.0.keys().map(String::as_str).collect()
    }

    /// A series, named as the text has it: `name` or `name{label="value"}`.
    pub fn get(&self, series: &str) -> Option<f64> {
        self.0.get(series).copied()
    }

    /// A series that must be there.
    ///
    /// # Panics
    /// Where it is not.
    #[track_caller]
    pub fn value(&self, series: &str) -> f64 {
        self.get(series).unwrap_or_else(|| panic!("{series} is not exported"))
    }

    /// The series of a name that have all these labels (`code="200"`).
    pub fn of<'a>(&'a self, name: &'a str, labels: &'a [&'a str]) -> impl Iterator<Item = (&'a str, f64)> {
        let named = move |series: &str| {
            series.strip_prefix(name).is_some_and(|rest| {
                (rest.is_empty() || rest.starts_with('{')) && labels.iter().all(|label| rest.contains(label))
            })
        };
        self.0.iter().filter(move |(series, _)| named(series)).map(|(series, value)| (series.as_str(), *value))
    }

    /// Their sum.
    pub fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        self.of(name, labels).map(|(_, value)| value).sum()
    }
}
