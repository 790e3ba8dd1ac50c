//! Where Keras's files have the values of a network's weights.

use super::super::imported::{Training, Values};
use super::config::Place;
use super::hdf5::{Array, Group};
use crate::nn::network::{BuiltLayer, Network, Weight};
use crate::nn::training::MAX_COUNT;
use crate::nn::{Loss, Optimizer};

/// What is wrong with a file.
type Result<T> = std::result::Result<T, String>;

/// What Keras stores for a layer, in its order.
enum Stored<'a> {
    Weight(&'a Weight),
    /// How much a normalization has seen.
    Count,
}

impl Stored<'_> {
    fn is_trainable(&self) -> bool {
        matches!(self, Self::Weight(weight) if weight.trainable)
    }
}

fn stored(layer: &BuiltLayer) -> impl Iterator<Item = Stored<'_>> {
    let count = (layer.layer_type == "Normalization").then_some(Stored::Count);
    layer.weights.iter().map(Stored::Weight).chain(count)
}

/// The values of a network's weights, of which those may be missing that are `given` elsewhere.
pub(super) fn read(
    file: &Group,
    network: &Network,
    places: &[Place],
    given: &Values,
) -> Result<Values> {
    let file = file.group("model_weights").unwrap_or(file);
    let is_given = |layer: &BuiltLayer| {
        let mut weights = layer.weights.iter();
        weights.any(|weight| given.contains_key(&weight.name))
    };
    let layers = network.layers.iter().zip(places);
    let layers: Vec<_> = layers
        .filter(|(layer, _)| !layer.weights.is_empty() && !is_given(layer))
        .collect();
    match file.attributes.keys().any(|key| key.starts_with(LAYERS)) {
        true => by_parts(file, &layers),
        false => by_paths(file, &layers),
    }
}

/// As Keras 3 stores them: by the layers' classes.
fn by_paths(file: &Group, layers: &[(&BuiltLayer, &Place)]) -> Result<Values> {
    let mut values = Values::new();
    for (layer, place) in layers {
        let group = find(file, &place.path);
        let arrays = group.map(numbered).transpose()?;
        let arrays = arrays.ok_or_else(|| {
            let has = match file.group("layers") {
                Some(layers) => Vec::from_iter(layers.groups.keys().copied()).join(", "),
                None => "no layers".into(),
            };
            format!("it has no {}/vars; it has {has}", place.path)
        })?;
        take(stored(layer).collect(), arrays, &layer.name, &mut values)?;
    }
    Ok(values)
}

/// The group of a layer's variables, as it is called in several versions.
fn find<'a, 'b>(file: &'b Group<'a>, path: &str) -> Option<&'b Group<'a>> {
    let group = file.group(path);
    let group = group.or_else(|| file.groups.get(&path.replace('/', "\\")[..]));
    let group =
        group.or_else(|| file.group(&path.replace("layers", "_layer_checkpoint_dependencies")));
    group?.groups.get("vars")
}

/// The arrays that are named 0, 1 and so on.
fn numbered<'a, 'b>(group: &'b Group<'a>) -> Result<Vec<&'b Array<'a>>> {
    let array = |number: usize| {
        let found = group.arrays.get(&number.to_string()[..]);
        found.ok_or_else(|| format!("of {} variables it has no {number}", group.arrays.len()))
    };
    (0..group.arrays.len()).map(array).collect()
}

const LAYERS: &str = "layer_names";

/// As Keras 2 stores them: a group for each part of the model, with the names of its weights, of which those that
/// are trained come first.
fn by_parts(file: &Group, layers: &[(&BuiltLayer, &Place)]) -> Result<Values> {
    let mut groups = Vec::new();
    for name in texts(file, LAYERS)? {
        let group = file.groups.get(name);
        let group = group.ok_or_else(|| format!("it has no group {name}"))?;
        let names = texts(group, "weight_names")?;
        if !names.is_empty() {
            groups.push((name, group, names));
        }
    }
    let parts: Vec<_> = layers.chunk_by(|(_, a), (_, b)| a.part == b.part).collect();
    if groups.len() != parts.len() {
        let found: Vec<_> = groups.iter().map(|(name, ..)| *name).collect();
        let own: Vec<_> = layers.iter().map(|(layer, _)| &layer.name[..]).collect();
        return Err(format!(
            "it has weights of {} layers ({}), the network of {} ({})",
            groups.len(),
            found.join(", "),
            parts.len(),
            own.join(", "),
        ));
    }
    let mut values = Values::new();
    for (part, (name, group, names)) in parts.into_iter().zip(groups) {
        let all = || part.iter().flat_map(|(layer, _)| stored(layer));
        let trained = all().filter(Stored::is_trainable);
        let others = all().filter(|stored| !stored.is_trainable());
        let wanted = trained.chain(others).collect();
        let arrays = arrays(group, &names)?;
        take(wanted, arrays, name, &mut values)?;
    }
    Ok(values)
}

/// The arrays of these names.
fn arrays<'a, 'b>(group: &'b Group<'a>, names: &[&str]) -> Result<Vec<&'b Array<'a>>> {
    let array = |name: &&str| {
        let found = group.array(name);
        found.ok_or_else(|| format!("it has no {name}"))
    };
    names.iter().map(array).collect()
}

/// The strings of an attribute, which is in pieces if it is long.
fn texts<'a>(group: &Group<'a>, key: &str) -> Result<Vec<&'a str>> {
    let texts = |array: &Array<'a>| {
        let texts = array.texts();
        texts
            .map(<[&str]>::to_vec)
            .ok_or_else(|| format!("its {key} are no strings"))
    };
    if let Some(array) = group.attributes.get(key) {
        return texts(array);
    }
    let mut all = Vec::new();
    while let Some(array) = group.attributes.get(&format!("{key}{}", all.len())[..]) {
        all.push(texts(array)?);
    }
    match all.is_empty() {
        true => Err(format!("it has no {key}")),
        false => Ok(all.concat()),
    }
}

/// Adds the values of a part of the model.
fn take(wanted: Vec<Stored>, found: Vec<&Array>, name: &str, values: &mut Values) -> Result<()> {
    if wanted.len() != found.len() {
        let (own, has) = (wanted.len(), found.len());
        return Err(format!(
            "{name} has {has} variables in the file, {own} in the network"
        ));
    }
    for (wanted, found) in wanted.into_iter().zip(found) {
        if let Stored::Weight(weight) = wanted {
            values.insert(weight.name.clone(), values_of(weight, found)?);
        }
    }
    Ok(())
}

fn values_of(weight: &Weight, found: &Array) -> Result<Vec<f32>> {
    let (name, shape) = (&weight.name, &weight.shape);
    let own = shape.iter().map(|&extent| extent as u64);
    if !found.shape.iter().copied().eq(own) {
        return Err(format!(
            "{name} has shape {:?} in the file, the network has {shape:?}",
            found.shape
        ));
    }
    let values = found.f32s();
    values.ok_or_else(|| format!("{name} is not of numbers with a fractional part"))
}

/// What an optimizer goes on from, unless the file has nothing of it. One of Keras 2's older kind stores the first
/// moments of all weights before the second.
pub(super) fn training(
    file: &Group,
    network: &Network,
    optimizer: Optimizer,
    loss: Option<Loss>,
    is_grouped: bool,
) -> Result<Training> {
    let arrays = match (
        file.group("optimizer/vars"),
        file.group("optimizer_weights"),
    ) {
        (Some(group), _) => numbered(group)?,
        (None, Some(group)) => arrays(group, &texts(group, "weight_names")?)?,
        (None, None) => Vec::new(),
    };
    let mut training = Training {
        optimizer,
        loss,
        step: 0,
        slots: Vec::new(),
    };
    let Some((iterations, mut rest)) = arrays.split_first() else {
        return Ok(training);
    };
    let step = iterations.count();
    training.step = step.ok_or("its optimizer's first variable is no number of steps")?;
    if training.step > MAX_COUNT {
        let step = training.step;
        return Err(format!(
            "its optimizer has done {step} steps, more than there can be"
        ));
    }
    // Keras 3 also stores the learning rate, unless it follows from the step.
    if let Some((rate, behind)) = rest.split_first()
        && rate.shape.is_empty()
    {
        rest = behind;
    }
    // Compiled, and not trained.
    if training.step == 0 && rest.is_empty() {
        return Ok(training);
    }
    let slots = training.optimizer.slots().len();
    let weights: Vec<_> = network.trained_weights().collect();
    // Keras 2 stores a momentum of 0, too.
    let is_there = match slots {
        0 => rest.is_empty() || rest.len() == weights.len(),
        slots => rest.len() == slots * weights.len(),
    };
    if !is_there {
        let (has, needed) = (rest.len(), slots * weights.len());
        return Err(format!(
            "its optimizer has {has} variables, the network's weights need {needed}"
        ));
    }
    for slot in 0..slots {
        let mut values = Values::new();
        for (place, weight) in weights.iter().enumerate() {
            let index = match is_grouped {
                true => slot * weights.len() + place,
                false => place * slots + slot,
            };
            if let Some(found) = rest.get(index) {
                values.insert(weight.name.clone(), values_of(weight, found)?);
            }
        }
        training.slots.push(values);
    }
    Ok(training)
}

#[cfg(test)]
mod tests {
    use super::super::hdf5::Writer;
    use super::*;

    #[test]
    fn the_groups_of_all_versions_are_found() {
        for path in [
            "layers/dense_1",
            "layers\\dense_1",
            "_layer_checkpoint_dependencies/dense_1",
        ] {
            let mut file = Writer::default();
            file.f32s(&format!("{path}/vars/0"), &[2], &[0.5, -3.0]);
            let bytes = file.finish();
            let file = Group::open(&bytes).unwrap();
            let group = find(&file, "layers/dense_1").unwrap();
            let [array] = numbered(group).unwrap()[..] else {
                panic!("{path}");
            };
            assert_eq!(array.shape, [2], "{path}");
            assert_eq!(array.f32s(), Some(vec![0.5, -3.0]), "{path}");
        }
    }
}
