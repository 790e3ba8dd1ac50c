//! What a training history looks like.

use selfnorm::nn::{EpochScores, History, Score};

use super::plot::{Area, Axis, BLUE, Corner, ORANGE, Panel, Result};

/// Epochs whose values are dots, too; more would run into each other.
const FEW: usize = 30;

/// A number of each epoch, of what is trained on, which the legend calls `trained`, and of the validation samples.
pub fn by_epoch(
    area: &Area,
    title: &str,
    subtitle: &str,
    history: &History,
    value: impl Fn(Score) -> f64,
    corner: Corner,
    trained: &str,
) -> Result<()> {
    let epochs = &history.epochs;
    let points = |score: &dyn Fn(&EpochScores) -> Option<Score>| {
        let scores = epochs.iter().zip(1..);
        scores
            .filter_map(|(epoch, number)| Some((f64::from(number), value(score(epoch)?))))
            .collect::<Vec<_>>()
    };
    let training = points(&|epoch| Some(epoch.training));
    let validation = points(&|epoch| epoch.validation);
    let values = training.iter().chain(&validation).map(|point| point.1);
    let count = epochs.len();
    let mut panel = Panel::new(
        area,
        title,
        subtitle,
        Axis::new(0.5..count as f64 + 0.5, 0)
            .ticks(count.min(10))
            .name("epoch"),
        Axis::around(values),
    )?;
    for (points, color) in [(training, BLUE), (validation, ORANGE)] {
        if count <= FEW {
            for point in &points {
                panel.dot(*point, color, color)?;
            }
        }
        panel.line(points, color)?;
    }
    panel.legends(corner, &[(BLUE, trained), (ORANGE, "validation")])
}
