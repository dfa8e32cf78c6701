use std::{fmt::Write as _, fs, path::Path};

/// What must become of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// In the list, under this identity.
    Delivered(String),
    Rejected {
        reason: &'static str,
    },
    Duplicate,
}

/// A segment that a test makes up: columns `email,name,score`, and what must become of each row.
#[derive(Debug, Clone, Default)]
pub struct People {
    rows: Vec<(String, Fate)>,
}

impl People {
    /// So many people whom nothing speaks against.
    pub fn good(count: usize) -> Self {
        Self::default().and_good(count)
    }

    pub fn and_good(mut self, count: usize) -> Self {
        let first = self.rows.len();
        self.rows.reserve(count);
        for n in first..first + count {
            let identity = format!("person{n}@example.com");
            self.rows
                .push((format!("{identity},Person {n},{}", n % 100), Fate::Delivered(identity)));
        }
        self
    }

    /// A row as it stands in the file, and what must become of it.
    pub fn and(mut self, row: impl Into<String>, fate: Fate) -> Self {
        self.rows.push((row.into(), fate));
        self
    }

    /// A row that must be rejected.
    pub fn and_rejected(self, address: &str, reason: &'static str) -> Self {
        self.and(format!("{address},Nobody,1"), Fate::Rejected { reason })
    }

    /// The row at `index` (from 0) once more.
    pub fn duplicate(mut self, index: usize) -> Self {
        let (row, _) = self.rows[index].clone();
        self.rows.push((row, Fate::Duplicate));
        self
    }

    /// Rows spread over those that are there: every `step`-th is spoiled with this address.
    pub fn spoil(
        mut self,
        step: usize,
        address: impl Fn(usize) -> String,
        reason: &'static str,
    ) -> Self {
        for (n, row) in self.rows.iter_mut().enumerate().skip(step - 1).step_by(step) {
            *row = (format!("{},Spoiled {n},1", address(n)), Fate::Rejected { reason });
        }
        self
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn csv(&self) -> String {
        let mut text = String::from("email,name,score\n");
        for (row, _) in &self.rows {
            writeln!(text, "{row}").unwrap();
        }
        text
    }

    pub fn write(&self, path: &Path) {
        fs::write(path, self.csv()).unwrap();
    }

    /// Rows as the report numbers them, the header being row 1, each with what must become of it.
    pub fn fates(&self) -> impl Iterator<Item = (u64, &Fate)> {
        (2..).zip(self.rows.iter().map(|(_, fate)| fate))
    }
}
