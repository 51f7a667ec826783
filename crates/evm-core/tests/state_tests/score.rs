//! How many cases end as they must.

use std::{collections::BTreeMap, fmt};

use serde_json::json;

#[derive(Default)]
pub struct Score {
    /// Cases and failures by suite, fork and kind of storage.
    counts: BTreeMap<(String, String, String), (u64, u64)>,
    failures: u64,
    /// Files that the archives name but do not hold.
    pub absent: Vec<String>,
}

impl Score {
    pub fn count(&mut self, suite: &str, fork: &str, how: &str, failure: Option<String>) {
        let entry = self.counts.entry((suite.into(), fork.into(), how.into())).or_default();
        entry.0 += 1;
        if let Some(failure) = failure {
            entry.1 += 1;
            eprintln!("FAILED {failure}");
            self.failures += 1;
        }
    }

    pub fn add(&mut self, other: Self) {
        for (key, (cases, failures)) in other.counts {
            let entry = self.counts.entry(key).or_default();
            entry.0 += cases;
            entry.1 += failures;
        }
        self.failures += other.failures;
        self.absent.extend(other.absent);
    }

    /// Whether anything ran and all of it passed.
    pub fn is_perfect(&self) -> bool {
        self.failures == 0 && !self.counts.is_empty()
    }

    pub fn json(&self) -> String {
        let rows = self.counts.iter().map(|((suite, fork, how), (cases, failures))| {
            json!({"suite": suite, "fork": fork, "storage": how, "cases": cases, "failures": failures})
        });
        let score = json!({"rows": rows.collect::<Vec<_>>(), "absent": self.absent});
        serde_json::to_string_pretty(&score).expect("a score is JSON") + "\n"
    }
}

impl fmt::Display for Score {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for name in &self.absent {
            writeln!(out, "absent from the archive: {name}")?;
        }
        let mut total = (0, 0);
        for ((suite, fork, how), (cases, failures)) in &self.counts {
            writeln!(out, "{suite:50} {fork:18} {how:10} {cases:6} cases {failures:4} failures")?;
            total = (total.0 + cases, total.1 + failures);
        }
        writeln!(out, "state tests: {} runs, {} failures", total.0, total.1)
    }
}
