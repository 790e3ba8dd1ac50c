//! Values that are known before a network runs: weights, and the shapes that exporters compute.

use super::super::layout::places;

type Result<T> = std::result::Result<T, String>;

/// The most integers that a shape is computed of.
const MAX_INTS: usize = 1024;

#[derive(Clone, Debug)]
pub(super) struct Constant {
    pub shape: Vec<usize>,
    pub values: Values,
}

#[derive(Clone, Debug)]
pub(super) enum Values {
    Floats(Vec<f32>),
    Ints(Vec<Int>),
}

/// An integer of a shape, which may be that of the batch, times a factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Int {
    Known(i64),
    Batches(i64),
}

impl Int {
    pub fn known(self) -> Option<i64> {
        match self {
            Self::Known(value) => Some(value),
            Self::Batches(_) => None,
        }
    }

    fn times(self, other: Self) -> Option<Self> {
        match (self, other) {
            (Self::Known(a), Self::Known(b)) => Some(Self::Known(a.checked_mul(b)?)),
            (Self::Batches(a), Self::Known(b)) | (Self::Known(b), Self::Batches(a)) => {
                Some(Self::Batches(a.checked_mul(b)?))
            }
            (Self::Batches(_), Self::Batches(_)) => None,
        }
    }
}

/// How many there are in an array, none if its extents are too large even without those of 0.
pub(super) fn elements(shape: &[usize]) -> Option<usize> {
    let mut others = shape.iter().filter(|&&extent| extent != 0);
    let product = others.try_fold(1usize, |product, &extent| product.checked_mul(extent))?;
    Some(if shape.contains(&0) { 0 } else { product })
}

impl Constant {
    pub fn ints(shape: Vec<usize>, values: Vec<Int>) -> Result<Self> {
        if values.len() > MAX_INTS {
            return Err(format!("{} integers; shapes have fewer", values.len()));
        }
        let values = Values::Ints(values);
        Ok(Self { shape, values })
    }

    pub fn floats(shape: Vec<usize>, values: Vec<f32>) -> Self {
        let values = Values::Floats(values);
        Self { shape, values }
    }

    pub fn len(&self) -> usize {
        match &self.values {
            Values::Floats(values) => values.len(),
            Values::Ints(values) => values.len(),
        }
    }

    pub fn as_floats(&self) -> Option<&[f32]> {
        match &self.values {
            Values::Floats(values) => Some(values),
            Values::Ints(_) => None,
        }
    }

    /// Its one value.
    pub fn scalar(&self) -> Option<f64> {
        match &self.values {
            Values::Floats(values) if values.len() == 1 => Some(values[0].into()),
            _ => None,
        }
    }

    pub fn as_ints(&self) -> Option<&[Int]> {
        match &self.values {
            Values::Ints(values) => Some(values),
            Values::Floats(_) => None,
        }
    }

    /// Its integers, none of which is the batch's.
    pub fn known(&self) -> Result<Vec<i64>> {
        let known = |values: &[Int]| values.iter().map(|value| value.known()).collect();
        let known: Option<Vec<_>> = self.as_ints().and_then(known);
        known.ok_or_else(|| "they are no integers that are known".into())
    }

    /// With another shape of as many elements.
    pub fn reshaped(&self, shape: Vec<usize>) -> Result<Self> {
        if elements(&shape) != Some(self.len()) {
            return Err(format!("{:?} can't become {shape:?}", self.shape));
        }
        let values = self.values.clone();
        Ok(Self { shape, values })
    }

    /// With its axes in another order.
    pub fn transposed(&self, order: &[usize]) -> Self {
        let places = places(&self.shape, order);
        let shape = order.iter().map(|&axis| self.shape[axis]).collect();
        self.picked(shape, places)
    }

    /// Rows from a place to another, with a step, which is negative if they come backwards.
    pub fn slice(&self, start: i64, end: i64, step: i64) -> Option<Self> {
        let (&rows, rest) = self.shape.split_first()?;
        let len = i64::try_from(rows).ok()?;
        let (first, last) = if step < 0 { (-1, len - 1) } else { (0, len) };
        let clamp = |place: i64| {
            let place = if place < 0 {
                place.saturating_add(len)
            } else {
                place
            };
            place.clamp(first, last)
        };
        let (start, end) = (clamp(start), clamp(end));
        let count = match step {
            0 => return None,
            1.. => (end - start).max(0).checked_add(step - 1)? / step,
            _ => (start - end).max(0).checked_add(step.checked_neg()? - 1)? / step.checked_neg()?,
        };
        let width: usize = rest.iter().product();
        let some = if width == 0 { 0 } else { count };
        let rows = (0..some).map(|i| (start + i * step) as usize);
        let places = rows.flat_map(|row| row * width..(row + 1) * width);
        let shape = [&[count as usize], rest].concat();
        Some(self.picked(shape, places))
    }

    /// The values at places that there are.
    fn picked(&self, shape: Vec<usize>, places: impl Iterator<Item = usize>) -> Self {
        let values = match &self.values {
            Values::Floats(values) => Values::Floats(places.map(|place| values[place]).collect()),
            Values::Ints(values) => Values::Ints(places.map(|place| values[place]).collect()),
        };
        Self { shape, values }
    }
}

/// The result of an operator of two constants, of which one is a number or both have one shape.
pub(super) fn combine(operator: &str, a: &Constant, b: &Constant) -> Result<Constant> {
    let (len, shape) = match (a.len(), b.len()) {
        (1, n) if a.shape.len() <= b.shape.len() => (n, &b.shape),
        (n, 1) => (n, &a.shape),
        (n, m) if n == m && a.shape == b.shape => (n, &a.shape),
        _ => {
            return Err(format!(
                "constants of shapes {:?} and {:?}",
                a.shape, b.shape
            ));
        }
    };
    let of = |values_len: usize, i: usize| if values_len == 1 { 0 } else { i };
    match (&a.values, &b.values) {
        (Values::Ints(x), Values::Ints(y)) => {
            let one = |i| combine_ints(operator, x[of(x.len(), i)], y[of(y.len(), i)]);
            let values: Option<Vec<_>> = (0..len).map(one).collect();
            let values = values.ok_or("integers that can't be computed")?;
            Constant::ints(shape.clone(), values)
        }
        (Values::Floats(x), Values::Floats(y)) => {
            let one = |i| combine_floats(operator, x[of(x.len(), i)], y[of(y.len(), i)]);
            let values: Option<Vec<_>> = (0..len).map(one).collect();
            let values = values.ok_or("constants that can't be computed")?;
            Ok(Constant::floats(shape.clone(), values))
        }
        _ => Err("floats and integers are mixed".into()),
    }
}

fn combine_floats(operator: &str, x: f32, y: f32) -> Option<f32> {
    Some(match operator {
        "Add" => x + y,
        "Sub" => x - y,
        "Mul" => x * y,
        "Div" => x / y,
        "Pow" => x.powf(y),
        "Max" => x.max(y),
        "Min" => x.min(y),
        _ => return None,
    })
}

fn combine_ints(operator: &str, x: Int, y: Int) -> Option<Int> {
    if operator == "Mul" {
        return x.times(y);
    }
    if let (Int::Batches(x), "Div", Int::Known(y)) = (x, operator, y) {
        let is_whole = y != 0 && x.checked_rem(y) == Some(0);
        return is_whole.then(|| Int::Batches(x / y));
    }
    let (x, y) = (x.known()?, y.known()?);
    let value = match operator {
        "Add" => x.checked_add(y)?,
        "Sub" => x.checked_sub(y)?,
        "Div" => x.checked_div(y)?,
        // Of the sign of the divisor.
        "Mod" => {
            let rest = x.checked_rem(y)?;
            let is_other = rest != 0 && (rest < 0) != (y < 0);
            if is_other { rest + y } else { rest }
        }
        _ => return None,
    };
    Some(Int::Known(value))
}

/// The product of integers.
pub(super) fn product(values: &[Int]) -> Option<Int> {
    let one = Int::Known(1);
    values
        .iter()
        .try_fold(one, |product, &value| product.times(value))
}

/// The elements of a list at places, which count from the end if they are negative.
pub(super) fn gather(values: &[Int], places: &[i64]) -> Option<Vec<Int>> {
    let at = |&place: &i64| values.get(from_end(place, values.len())?).copied();
    places.iter().map(at).collect()
}

/// An index that may count from the end.
pub(super) fn from_end(place: i64, len: usize) -> Option<usize> {
    let len = i64::try_from(len).ok()?;
    let place = if place < 0 {
        place.checked_add(len)?
    } else {
        place
    };
    (0..len).contains(&place).then_some(place as usize)
}
