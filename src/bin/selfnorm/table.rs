//! Samples and predictions, as .csv and as .npy.

use std::io::Write;
use std::path::Path;

use crate::{Result, npy};

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
                "a row has {} values, the model's input {sample:?} is {values}",
                self.shape[1]
            )
            .into()),
            false => Err(format!(
                "the array is {:?}, the model's input is [n, …{sample:?}]",
                self.shape
            )
            .into()),
        }
    }
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
    for (line, record) in reader.records().enumerate() {
        let record = record?;
        columns = record.len();
        let row: std::result::Result<Vec<f32>, _> = record.iter().map(str::parse).collect();
        match row {
            Ok(row) => {
                values.extend(row);
                rows += 1;
            }
            // Names, if they are the first line.
            Err(_) if line == 0 => {}
            Err(_) => {
                let is_wrong = |field: &&str| field.parse::<f32>().is_err();
                let field = record.iter().find(is_wrong).unwrap_or_default();
                return Err(format!("line {}: {field:?} is not a number", line + 1).into());
            }
        }
    }
    Ok(Samples {
        shape: vec![rows, columns],
        values,
        is_table: true,
    })
}

/// Writes `values` [rows, shape], all of them or nothing.
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
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let write = || {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(&bytes)?;
        file.persist(path)?;
        Ok(())
    };
    write().map_err(|problem: std::io::Error| format!("{}: {problem}", path.display()).into())
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
        let error = read("1,2\n3,x\n").unwrap_err().to_string();
        assert_eq!(error, "line 2: \"x\" is not a number");
        assert!(read("1,2\n3\n").is_err());
    }
}
