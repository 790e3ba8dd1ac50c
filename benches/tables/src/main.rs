//! Trains the self-normalizing networks of `tables.py`: a job a line of JSON on the standard input, its result a line
//! on the standard output.

use std::io::{BufRead, Write};

use selfnorm::nn::{
    Activation, Adam, AlphaDropout, Dataset, Dense, EarlyStopping, Fit, Initializer::LecunNormal,
    Sequential, metrics,
};
use selfnorm::{Gpu, Result};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Job {
    /// The rows of each part, standardized: f32s, then a u32 label each, in a file of their own.
    train: Part,
    validation: Part,
    test: Part,
    features: usize,
    classes: usize,
    depth: usize,
    units: usize,
    dropout: f64,
    learning_rate: f64,
    batch: usize,
    epochs: usize,
    patience: usize,
    seed: u64,
}

#[derive(Deserialize)]
struct Part {
    file: String,
    rows: usize,
}

#[derive(Serialize)]
struct Outcome {
    validation_loss: f64,
    accuracy: f64,
    epochs: usize,
}

type Failure = Box<dyn std::error::Error>;

fn main() -> std::result::Result<(), Failure> {
    let gpu = Gpu::new()?;
    eprintln!("{}", gpu.adapter_info().name);
    for line in std::io::stdin().lock().lines() {
        let outcome = train(&gpu, &serde_json::from_str(&line?)?)?;
        println!("{}", serde_json::to_string(&outcome)?);
        std::io::stdout().flush()?;
    }
    Ok(())
}

fn train(gpu: &Gpu, job: &Job) -> std::result::Result<Outcome, Failure> {
    let (train, _) = read(gpu, job, &job.train)?;
    let (validation, _) = read(gpu, job, &job.validation)?;
    let (test, labels) = read(gpu, job, &job.test)?;
    let mut model = network(gpu, job)?;
    let fit = Fit::new(Adam::new(job.learning_rate))
        .batch_size(job.batch)
        .epochs(job.epochs)
        .validation_data(&validation);
    let mut stopping = EarlyStopping::new()
        .patience(job.patience)
        .restore_best_weights(true);
    let history = model.fit_with(&train, &fit, |mut progress| {
        progress.notify(&mut [&mut stopping])
    })?;
    let predicted = model.predict_classes(&test)?;
    Ok(Outcome {
        validation_loss: model.evaluate(&validation)?.loss,
        accuracy: metrics::accuracy(&labels, &predicted)?,
        epochs: history.epochs.len(),
    })
}

fn network(gpu: &Gpu, job: &Job) -> Result<Sequential> {
    let mut model = Sequential::new([job.features]);
    for _ in 0..job.depth {
        let dense = Dense::new(job.units).kernel_initializer(LecunNormal);
        model = model
            .add(dense.activation(Activation::Selu))
            .add(AlphaDropout::new(job.dropout));
    }
    let output = Dense::new(job.classes).kernel_initializer(LecunNormal);
    model
        .add(output.activation(Activation::Softmax))
        .build(gpu, job.seed)
}

fn read(gpu: &Gpu, job: &Job, part: &Part) -> std::result::Result<(Dataset, Vec<u32>), Failure> {
    let bytes = std::fs::read(&part.file)?;
    let words: Vec<[u8; 4]> = bytes.as_chunks().0.to_vec();
    let (values, labels) = words.split_at(part.rows * job.features);
    let values: Vec<_> = values
        .iter()
        .map(|&word| f32::from_le_bytes(word))
        .collect();
    let labels: Vec<_> = labels
        .iter()
        .map(|&word| u32::from_le_bytes(word))
        .collect();
    let data = Dataset::from_floats(gpu, &values, [job.features])?.classes(&labels)?;
    Ok((data, labels))
}
