//! The table of a network, as Keras prints it.

use super::Precision;
use super::network::Network;

/// Widths of the columns, with a space on either side.
const WIDTHS: [usize; 3] = [33, 24, 15];

pub(super) fn summary(network: &Network, precision: Precision) -> String {
    let rule = |left: char, line: char, cross: char, right: char| {
        let lines = WIDTHS.map(|width| line.to_string().repeat(width));
        format!("{left}{}{right}\n", lines.join(&cross.to_string()))
    };
    let row = |edge: char, [name, shape, parameters]: [&str; 3]| {
        let [a, b, c] = WIDTHS.map(|width| width - 2);
        format!(
            "{edge} {:a$} {edge} {:b$} {edge} {parameters:>c$} {edge}\n",
            cut(name, a),
            cut(shape, b),
        )
    };
    let mut text = String::from("Model: \"sequential\"\n");
    text += &rule('┏', '━', '┳', '┓');
    text += &row('┃', ["Layer (type)", "Output Shape", "Param #"]);
    text += &rule('┡', '━', '╇', '┩');
    let mut counts = [0, 0];
    for (i, layer) in network.layers.iter().enumerate() {
        if i > 0 {
            text += &rule('├', '─', '┼', '┤');
        }
        let parameters: usize = layer.weights.iter().map(|weight| weight.len).sum();
        for weight in &layer.weights {
            counts[usize::from(!weight.trainable)] += weight.len;
        }
        let extents: Vec<_> = layer.output_shape.iter().map(usize::to_string).collect();
        text += &row(
            '│',
            [
                &format!("{} ({})", layer.name, layer.layer_type),
                &format!("(None, {})", extents.join(", ")),
                &grouped(parameters),
            ],
        );
    }
    text += &rule('└', '─', '┴', '┘');
    let [trainable, frozen] = counts;
    for (what, count) in [
        ("Total", trainable + frozen),
        ("Trainable", trainable),
        ("Non-trainable", frozen),
    ] {
        text += &format!(" {what} params: {} ({})\n", grouped(count), size(count));
    }
    if precision == Precision::F16 {
        text += " Precision: products of 16-bit floats\n";
    }
    text
}

/// The text, cut to at most `width` characters.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.into();
    }
    text.chars().take(width - 1).chain(['…']).collect()
}

/// With commas between thousands.
fn grouped(count: usize) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The memory that `count` f32s take.
fn size(count: usize) -> String {
    let mut size = (count * size_of::<f32>()) as f64;
    for unit in ["B", "KB", "MB"] {
        if size < 1024.0 {
            return format!("{size:.2} {unit}");
        }
        size /= 1024.0;
    }
    format!("{size:.2} GB")
}
