//! A table of a CSV file, and the numbers that a network takes for its rows.
//!
//! Whether a column has numbers or categories, all rows tell. Means and categories are those of the rows that
//! are trained on: a network must not know anything of the others.

use std::collections::{BTreeMap, BTreeSet};

#[cfg(test)]
mod tests;

/// Every failure is a sentence for whoever has the file.
pub type Result<T> = std::result::Result<T, String>;

/// What stands for a missing value, in any case, beside an empty cell.
const MISSING: [&str; 7] = ["na", "n/a", "nan", "null", "none", "?", "-"];

/// A column of more texts than this has names or numbers of customers, not categories.
const MOST_CATEGORIES: usize = 256;

pub struct Table {
    columns: Vec<Column>,
    /// Where each row begins in the file.
    lines: Vec<u64>,
}

struct Column {
    name: String,
    /// `None` where the value is missing.
    cells: Vec<Option<String>>,
}

/// The column that a network is to predict.
pub struct Target {
    column: Column,
    lines: Vec<u64>,
}

/// A target of classes: their names in order, and the class of each row.
#[derive(Debug, PartialEq)]
pub struct Classes {
    pub names: Vec<String>,
    pub labels: Vec<usize>,
}

impl Table {
    pub fn read(csv: &[u8], separator: u8, has_header: bool) -> Result<Self> {
        let lines = Lines::of(csv);
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(separator)
            .has_headers(has_header)
            .trim(csv::Trim::All)
            .from_reader(csv);
        let header = reader
            .headers()
            .map_err(|problem| in_words(problem, &lines))?
            .clone();
        let mut columns: Vec<Column> = Vec::new();
        for (number, name) in (1..).zip(&header) {
            let name = match has_header && !name.is_empty() {
                true => name.to_string(),
                false => number.to_string(),
            };
            if let Some(first) = columns.iter().position(|column| column.name == name) {
                return Err(format!(
                    "the header has {name:?} twice, in columns {} and {number}; rename one",
                    first + 1
                ));
            }
            columns.push(Column {
                name,
                cells: Vec::new(),
            });
        }
        let mut starts = Vec::new();
        for record in reader.records() {
            let record = record.map_err(|problem| in_words(problem, &lines))?;
            let start = record.position().map_or(0, csv::Position::byte);
            starts.push(lines.at(start));
            for (column, cell) in columns.iter_mut().zip(&record) {
                let is_missing = cell.is_empty() || MISSING.contains(&&*cell.to_lowercase());
                column.cells.push((!is_missing).then(|| cell.to_string()));
            }
        }
        if starts.is_empty() {
            return Err("the table has no rows".into());
        }
        Ok(Self {
            columns,
            lines: starts,
        })
    }

    pub fn rows(&self) -> usize {
        self.lines.len()
    }

    pub fn columns(&self) -> usize {
        self.columns.len()
    }

    /// The first name that is a number, which a header seldom has.
    pub fn number_in_header(&self) -> Option<&str> {
        let names = self.columns.iter().map(|column| column.name.as_str());
        names.into_iter().find(|name| name.parse::<f64>().is_ok())
    }

    /// Takes the column of this name out of the table.
    pub fn take(&mut self, name: &str) -> Result<Target> {
        let place = self.place(name)?;
        Ok(Target {
            column: self.columns.remove(place),
            lines: self.lines.clone(),
        })
    }

    fn place(&self, name: &str) -> Result<usize> {
        let names = || self.columns.iter().map(|column| column.name.as_str());
        names().position(|other| other == name).ok_or_else(|| {
            let names: Vec<_> = names().collect();
            format!(
                "there is no column {name:?}, only {}; is it the right separator?",
                names.join(", ")
            )
        })
    }
}

impl Target {
    /// The value of each row.
    pub fn numbers(&self) -> Result<Vec<f64>> {
        let (name, mut numbers) = (&self.column.name, Vec::new());
        for (row, (cell, line)) in self.column.cells.iter().zip(&self.lines).enumerate() {
            let place = place(row, *line, name);
            let Some(text) = cell else {
                return Err(format!(
                    "{place}: there is no value, and a target can't be made up; leave the row out"
                ));
            };
            match number(text) {
                Some(value) => numbers.push(finite(value, text, &place)?),
                None => {
                    return Err(format!(
                        "{place}: {text:?} is no number, which a regression needs"
                    ));
                }
            }
        }
        if numbers.iter().all(|value| *value == numbers[0]) {
            return Err(format!(
                "column {name:?} is {} in every row; there is nothing to learn",
                numbers[0]
            ));
        }
        Ok(numbers)
    }

    /// The class of each row; numbers are in order of size.
    pub fn classes(&self) -> Result<Classes> {
        let (name, mut texts) = (&self.column.name, Vec::new());
        for (row, (cell, line)) in self.column.cells.iter().zip(&self.lines).enumerate() {
            texts.push(cell.as_deref().ok_or_else(|| {
                let place = place(row, *line, name);
                format!("{place}: there is no class; leave the row out")
            })?);
        }
        let names = categories(texts.iter().copied());
        if let [only] = &names[..] {
            return Err(format!(
                "column {name:?} is {only:?} in every row; there must be two classes at least"
            ));
        }
        let places: BTreeMap<_, _> = names.iter().map(String::as_str).zip(0..).collect();
        let labels: Vec<usize> = texts.iter().map(|text| places[text]).collect();
        let mut counts = vec![0; names.len()];
        labels.iter().for_each(|&label| counts[label] += 1);
        for (class_name, rows) in names.iter().zip(counts) {
            if rows < 3 {
                let hint = match number(class_name) {
                    Some(_) => format!("; if {name:?} is a quantity, add --regression"),
                    None => "; merge it with another, or leave it out".into(),
                };
                return Err(format!(
                    "class {class_name:?} of column {name:?} has {rows} {}; it takes 3 to train, validate and \
                     test{hint}",
                    if rows == 1 { "row" } else { "rows" }
                ));
            }
        }
        Ok(Classes { names, labels })
    }
}

/// What the features of a network are in a table.
pub struct Encoder {
    columns: Vec<Encoding>,
    /// What whoever has the file should know.
    pub notes: Vec<String>,
}

struct Encoding {
    name: String,
    kind: Kind,
    /// What stands for a missing value: the mean of each feature.
    means: Option<Vec<f64>>,
}

enum Kind {
    Number,
    /// One feature for each of these, 1 where it is the row's.
    OneHot(Vec<String>),
}

impl Encoder {
    /// For a network that is trained on the rows `training`. The columns `categorical` are that even if they
    /// have numbers. Without `impute`, a missing value is an error.
    pub fn new(
        table: &Table,
        training: &[usize],
        categorical: &[String],
        impute: bool,
    ) -> Result<Self> {
        for name in categorical {
            table.place(name)?;
        }
        let (mut columns, mut notes) = (Vec::new(), Vec::new());
        for column in &table.columns {
            let name = column.name.clone();
            if column.cells.iter().all(Option::is_none) {
                notes.push(format!("column {name:?} has no value, and is left out"));
                continue;
            }
            let missing = column.cells.iter().position(Option::is_none);
            if let (Some(row), false) = (missing, impute) {
                let place = place(row, table.lines[row], &name);
                return Err(format!(
                    "{place}: there is no value; add --impute mean, or --drop {name:?}"
                ));
            }
            let is_number = !categorical.contains(&name) && has_numbers(column, &table.lines)?;
            let present: Vec<&str> = training
                .iter()
                .filter_map(|&row| column.cells[row].as_deref())
                .collect();
            let found = match is_number {
                true => different_numbers(&present),
                false => categories(present.iter().copied()),
            };
            if let [] | [_] = found[..] {
                let value = found.first().map_or("missing", String::as_str);
                notes.push(format!(
                    "column {name:?} is {value} in every row that is trained on, and is left out"
                ));
                continue;
            }
            if !is_number && found.len() > MOST_CATEGORIES {
                return Err(format!(
                    "column {name:?} has {} categories, more than {MOST_CATEGORIES}; if it names the rows, add \
                     --drop {name:?}",
                    found.len()
                ));
            }
            let mut encoding = Encoding {
                name,
                kind: match is_number {
                    true => Kind::Number,
                    false => Kind::OneHot(found),
                },
                means: None,
            };
            let mut sums = vec![0.0; encoding.width()];
            for text in &present {
                for (sum, value) in sums.iter_mut().zip(encoding.of(text)) {
                    *sum += value;
                }
            }
            let means = sums.iter().map(|sum| sum / present.len() as f64).collect();
            encoding.means = missing.map(|_| means);
            columns.push(encoding);
        }
        if columns.is_empty() {
            return Err("no column is left to learn from".into());
        }
        Ok(Self { columns, notes })
    }

    /// The features of a row.
    pub fn features(&self) -> usize {
        self.columns.iter().map(Encoding::width).sum()
    }

    /// The columns that have categories.
    pub fn one_hot(&self) -> usize {
        let kinds = self.columns.iter().map(|column| &column.kind);
        kinds.filter(|kind| matches!(kind, Kind::OneHot(_))).count()
    }

    /// The features of every row, row after row, and what there is to know of them. A category that is not
    /// known is no category: its features are all 0.
    pub fn encode(&self, table: &Table) -> Result<(Vec<f32>, Vec<String>)> {
        let (mut values, mut notes) = (Vec::new(), Vec::new());
        let sources = self.columns.iter().map(|encoding| {
            let place = table.place(&encoding.name)?;
            Ok((encoding, &table.columns[place]))
        });
        let sources = sources.collect::<Result<Vec<_>>>()?;
        for row in 0..table.rows() {
            for (encoding, column) in &sources {
                let cell = column.cells[row].as_deref();
                let features = match (cell, &encoding.means) {
                    (Some(text), _) => encoding.of(text),
                    (None, Some(means)) => means.clone(),
                    (None, None) => {
                        let place = place(row, table.lines[row], &encoding.name);
                        return Err(format!("{place}: there is no value"));
                    }
                };
                values.extend(features.into_iter().map(|value| value as f32));
            }
        }
        for (encoding, column) in &sources {
            let cells = column.cells.iter();
            let missing = cells.filter(|cell| cell.is_none()).count();
            if missing > 0 {
                notes.push(format!(
                    "column {:?} has no value in {missing} of {} rows; its mean stands there",
                    encoding.name,
                    table.rows()
                ));
            }
            let Kind::OneHot(known) = &encoding.kind else {
                continue;
            };
            let texts = column.cells.iter().flatten();
            let unknown: BTreeSet<_> = texts.filter(|text| !known.contains(text)).collect();
            for text in unknown {
                notes.push(format!(
                    "column {:?} is {text:?} only in rows that are not trained on: no category there",
                    encoding.name
                ));
            }
        }
        Ok((values, notes))
    }
}

impl Encoding {
    fn width(&self) -> usize {
        match &self.kind {
            Kind::Number => 1,
            Kind::OneHot(categories) => categories.len(),
        }
    }

    /// The features of a value.
    fn of(&self, text: &str) -> Vec<f64> {
        match &self.kind {
            Kind::Number => vec![number(text).unwrap_or_default()],
            Kind::OneHot(categories) => categories
                .iter()
                .map(|category| if category == text { 1.0 } else { 0.0 })
                .collect(),
        }
    }
}

/// Whether a column has numbers, and not categories: all of its cells must agree.
fn has_numbers(column: &Column, lines: &[u64]) -> Result<bool> {
    let name = &column.name;
    let (mut numbers, mut other) = (0, None);
    for (row, cell) in column.cells.iter().enumerate() {
        let Some(text) = cell else { continue };
        let place = place(row, lines[row], name);
        match number(text) {
            Some(value) => {
                finite(value, text, &place)?;
                numbers += 1;
            }
            None if number(&text.replace(',', ".")).is_some() => {
                return Err(format!(
                    "{place}: {text:?} has a comma; write the number with a point"
                ));
            }
            None => other = other.or(Some((place, text))),
        }
    }
    match (numbers, other) {
        (_, None) => Ok(true),
        (0, Some(_)) => Ok(false),
        (_, Some((place, text))) => Err(format!(
            "{place}: {text:?} is no number, as other rows have; correct it, or add --categorical {name:?}"
        )),
    }
}

/// The first number and the first that is another, as the GPU sees them.
fn different_numbers(texts: &[&str]) -> Vec<String> {
    let value = |text: &str| number(text).map(|value| value as f32);
    let first = texts.first().copied();
    let other = texts
        .iter()
        .copied()
        .find(|text| first.is_some_and(|first| value(first) != value(text)));
    first.into_iter().chain(other).map(String::from).collect()
}

/// Different texts, in order; numbers by size.
fn categories<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<String> {
    let different: BTreeSet<_> = texts.collect();
    let mut all: Vec<String> = different.into_iter().map(String::from).collect();
    let size = |text: &String| number(text).unwrap_or(f64::NAN);
    if all.iter().all(|text| number(text).is_some()) {
        all.sort_by(|a, b| size(a).total_cmp(&size(b)));
    }
    all
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok()
}

/// The number, which the GPU takes as an f32.
fn finite(value: f64, text: &str, place: &str) -> Result<f64> {
    match (value as f32).is_finite() {
        true => Ok(value),
        false => Err(format!("{place}: {text:?} is not finite as an f32")),
    }
}

/// Rows are counted without the header, lines with it, as an editor does.
fn place(row: usize, line: u64, column: &str) -> String {
    format!("row {} (line {line}), column {column:?}", row + 1)
}

/// Where lines begin. A record's own position is that of what ends the one before, half of it if that is two
/// bytes.
struct Lines<'a> {
    csv: &'a [u8],
    ends: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn of(csv: &'a [u8]) -> Self {
        let bytes = csv.iter().enumerate();
        let ends = bytes.filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at);
        Self {
            csv,
            ends: ends.collect(),
        }
    }

    /// The line of the first record from here on, counted from 1.
    fn at(&self, start: u64) -> u64 {
        let start = start as usize;
        let rest = self.csv.get(start..).unwrap_or_default();
        let blank = rest.iter().take_while(|byte| matches!(byte, b'\n' | b'\r'));
        let first = start + blank.count();
        self.ends.partition_point(|&end| end < first) as u64 + 1
    }
}

fn in_words(problem: csv::Error, lines: &Lines) -> String {
    match problem.kind() {
        csv::ErrorKind::UnequalLengths {
            pos: Some(at),
            expected_len,
            len,
        } => format!(
            "line {}: the row has {len} cells, those before it {expected_len}",
            lines.at(at.byte())
        ),
        csv::ErrorKind::Utf8 { pos: Some(at), .. } => format!(
            "line {}: the text is not UTF-8; save the file as that",
            lines.at(at.byte())
        ),
        _ => problem.to_string(),
    }
}
