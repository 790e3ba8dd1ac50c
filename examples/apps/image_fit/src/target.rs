//! The picture that the network learns.

use std::path::Path;

use image::imageops::FilterType;

use crate::fit::SIDE;

/// A picture file, cut to a square, as rgba8.
pub fn load(path: &Path) -> Result<Vec<u8>, String> {
    let side = SIDE as u32;
    let picture = image::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let square = picture.resize_to_fill(side, side, FilterType::Triangle);
    Ok(square.into_rgba8().into_raw())
}

/// A low sun behind two rows of hills, over water.
pub fn drawn() -> Vec<u8> {
    let mix = |a: [f32; 3], b: [f32; 3], t: f32| std::array::from_fn(|i| a[i] + t * (b[i] - a[i]));
    let colour = |u: f32, v: f32| -> [f32; 3] {
        const SHORE: f32 = 0.68;
        let is_water = v > SHORE;
        // Water mirrors what is above, shifted by waves.
        let (u, v) = if is_water {
            let depth = v - SHORE;
            (
                u + 0.012 * (90.0 * depth / (0.2 + depth)).sin(),
                SHORE - 1.6 * depth,
            )
        } else {
            (u, v)
        };
        let mut seen = mix(
            [0.13, 0.19, 0.42],
            [0.98, 0.62, 0.36],
            (v / SHORE).powf(1.3),
        );
        let sun = ((u - 0.62).powi(2) + (v - 0.42).powi(2)).sqrt();
        seen = mix(seen, [1.0, 0.93, 0.72], (-(sun / 0.16).powi(2)).exp());
        if sun < 0.09 {
            seen = [1.0, 0.96, 0.84];
        }
        let far = 0.50 + 0.05 * (7.0 * u + 0.6).sin() + 0.025 * (19.0 * u).sin();
        let near = 0.60 + 0.045 * (9.0 * u + 2.4).sin() + 0.012 * (43.0 * u).sin();
        if v > far {
            seen = [0.36, 0.27, 0.42];
        }
        if v > near {
            seen = [0.13, 0.15, 0.20];
        }
        if is_water {
            mix(seen, [0.10, 0.16, 0.30], 0.35)
        } else {
            seen
        }
    };
    let at = |i: usize| (i as f32 + 0.5) / SIDE as f32;
    (0..SIDE * SIDE)
        .flat_map(|i| {
            let [r, g, b] = colour(at(i % SIDE), at(i / SIDE)).map(|c| (255.0 * c) as u8);
            [r, g, b, 255]
        })
        .collect()
}
