//! Samples and predictions, as .csv and as .npy.

use std::path::Path;

use crate::{Result, atomic, npy};

pub enum Format {
    Csv,
    Npy,
}

impl Format {
    pub fn of(path: &Path) -> Result<Self> {
        let extension = path.extension().unwrap_or_default().to_string_lossy();
        match &extension.to_lowercase()[..] {
            "csv" => Ok(Self::Csv),
            "npy" => Ok(Self::Npy),
            _ => Err(format!("{}: not a name that ends in .csv or .npy", path.display()).into()),
        }
    }
}

/// An array of samples.
#[derive(Debug, PartialEq)]
pub struct Samples {
    /// Their number first.
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
    /// Whether the shape is that of the rows of a table, which says nothing of a sample's axes.
    pub is_table: bool,
}

impl Samples {
    pub fn rows(&self) -> usize {
        self.shape.first().copied().unwrap_or(1)
    }

    /// An error if they are not samples of this shape.
    pub fn check(&self, sample: &[usize]) -> Result<()> {
        let values: usize = sample.iter().product();
        let fits = match self.is_table {
            true => self.shape[1..] == [values],
            false => self.shape.get(1..) == Some(sample),
        };
        match fits {
            true => Ok(()),
            false if self.is_table => Err(format!(
                "a row has {} values, the model's input is {values}: [{}]",
                self.shape[1],
                extents(sample),
            )
            .into()),
            false => {
                let mut detail = format!(
                    "the array is {:?}, the model's input is [n, {}]",
                    self.shape,
                    extents(sample),
                );
                if self.shape == sample {
                    detail += "; one sample is x[None]";
                }
                if let ([_, c, h, w], true) = (&self.shape[..], sample.len() == 3)
                    && [*h, *w, *c] == *sample
                {
                    detail += "; channels come last: x.transpose(0, 2, 3, 1)";
                }
                Err(detail.into())
            }
        }
    }
}

fn extents(shape: &[usize]) -> String {
    let extents: Vec<_> = shape.iter().map(usize::to_string).collect();
    extents.join(", ")
}

pub fn read(path: &Path) -> Result<Samples> {
    let format = Format::of(path)?;
    let bytes = std::fs::read(path);
    let read = bytes.map_err(Into::into).and_then(|bytes| match format {
        Format::Csv => read_csv(&bytes),
        Format::Npy => npy::read(&bytes),
    });
    read.map_err(|problem| format!("{}: {problem}", path.display()).into())
}

fn read_csv(bytes: &[u8]) -> Result<Samples> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .trim(csv::Trim::All)
        .from_reader(bytes);
    let (mut rows, mut columns) = (0, 0);
    let mut values = Vec::new();
    for record in reader.records() {
        let record = record?;
        columns = record.len();
        // Names are no numbers; those that pandas gives are their places.
        let is_name = |(place, name): (usize, &str)| name == place.to_string();
        let is_number = |field: &str| field.parse::<f32>().is_ok();
        let are_names = || {
            let are_places = columns > 1 && record.iter().enumerate().all(is_name);
            are_places
                || !record
                    .iter()
                    .any(|field| is_number(field) || field.is_empty())
        };
        if values.is_empty()
            && rows == 0
            && record.position().is_some_and(|at| at.record() == 0)
            && are_names()
        {
            eprintln!("selfnorm: the first line has names");
            continue;
        }
        for field in &record {
            let wrong = |_| {
                let line = record.position().map_or(0, csv::Position::line);
                format!("line {line}: {field:?} is not a number")
            };
            values.push(field.parse().map_err(wrong)?);
        }
        rows += 1;
    }
    if rows == 0 {
        return Err("it has no rows of numbers".into());
    }
    Ok(Samples {
        shape: vec![rows, columns],
        values,
        is_table: true,
    })
}

/// Writes `values` [rows, shape].
pub fn write(path: &Path, rows: usize, shape: &[usize], values: &[f32]) -> Result<()> {
    let bytes = match Format::of(path)? {
        Format::Npy => npy::write(&[&[rows], shape].concat(), values),
        Format::Csv => {
            let mut writer = csv::Writer::from_writer(Vec::new());
            let columns: usize = shape.iter().product();
            for row in values.chunks(columns.max(1)) {
                // As many digits as it takes to read the same value.
                writer.write_record(row.iter().map(f32::to_string))?;
            }
            writer.into_inner()?
        }
    };
    atomic::write(path, &bytes).map_err(|problem| format!("{}: {problem}", path.display()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_line_of_names_is_no_row() {
        let expected = |values: &[f32]| Samples {
            shape: vec![values.len() / 2, 2],
            values: values.into(),
            is_table: true,
        };
        let read = |text: &str| read_csv(text.as_bytes());
        assert_eq!(read("a,b\n1, 2.5\n").unwrap(), expected(&[1.0, 2.5]));
        assert_eq!(
            read("1,2\n-3,4e-1").unwrap(),
            expected(&[1.0, 2.0, -3.0, 0.4])
        );
        // As pandas names columns.
        assert_eq!(read("0,1\n3,4\n").unwrap(), expected(&[3.0, 4.0]));
        for (text, expected) in [
            ("1,2\n3,x\n", "line 2: \"x\" is not a number"),
            // No row is lost because one of its fields is.
            ("1,x\n3,4\n", "line 1: \"x\" is not a number"),
            ("1,\n3,4\n", "line 1: \"\" is not a number"),
            (",b\n3,4\n", "line 1: \"\" is not a number"),
            ("a,b\n", "it has no rows of numbers"),
            ("", "it has no rows of numbers"),
        ] {
            assert_eq!(read(text).unwrap_err().to_string(), expected);
        }
        assert!(read("1,2\n3\n").is_err());
    }
}
