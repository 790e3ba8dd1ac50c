use std::fmt;
use std::io::Write;
use std::ops::ControlFlow;

use super::{Callback, Monitor};
use crate::nn::training::EpochEnd;
use crate::{Error, Result};

/// Writes a line for each epoch, as Keras's `CSVLogger`: the epoch, counted from 0, and the numbers that there
/// are, with a header.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use selfnorm::nn::CsvLogger;
///
/// let mut logger = CsvLogger::new(std::fs::File::create("training.csv")?);
/// # let _ = logger;
/// # Ok(())
/// # }
/// ```
pub struct CsvLogger<W> {
    writer: W,
    separator: char,
    columns: Option<Vec<Monitor>>,
}

impl<W> fmt::Debug for CsvLogger<W> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("CsvLogger")
            .field("columns", &self.columns)
            .finish_non_exhaustive()
    }
}

impl<W: Write> CsvLogger<W> {
    /// To a file, or anything else that takes bytes.
    pub fn new(writer: W) -> Self {
        Self {
            writer,
            separator: ',',
            columns: None,
        }
    }

    /// What stands between numbers. A comma by default.
    pub fn separator(mut self, separator: char) -> Self {
        self.separator = separator;
        self
    }

    /// What it writes to.
    pub fn into_inner(self) -> W {
        self.writer
    }

    fn line(&mut self, fields: impl Iterator<Item = String>) -> Result<()> {
        let separator = self.separator.to_string();
        let line = fields.collect::<Vec<_>>().join(&separator) + "\n";
        let written = self.writer.write_all(line.as_bytes());
        written
            .and_then(|()| self.writer.flush())
            .map_err(|problem| Error::File {
                path: "the log of epochs".into(),
                detail: problem.to_string(),
            })
    }
}

impl<W: Write> Callback for CsvLogger<W> {
    fn on_epoch_end(&mut self, end: &mut EpochEnd) -> Result<ControlFlow<()>> {
        let columns = match &self.columns {
            Some(columns) => columns.clone(),
            None => {
                let all = Monitor::ALL.into_iter();
                let columns: Vec<_> = all
                    .filter(|column| column.of(&end.scores).is_some())
                    .collect();
                let names = columns.iter().map(Monitor::to_string);
                self.line(["epoch".into()].into_iter().chain(names))?;
                self.columns = Some(columns.clone());
                columns
            }
        };
        let values = columns.iter().map(|column| match column.of(&end.scores) {
            Some(value) => value.to_string(),
            None => "NA".into(),
        });
        self.line([(end.epoch - 1).to_string()].into_iter().chain(values))?;
        Ok(ControlFlow::Continue(()))
    }
}
