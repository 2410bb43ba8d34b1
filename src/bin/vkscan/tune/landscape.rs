//! How fast scans are by the two parameters that matter most, as a picture.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// A field of the picture: two values, and a scan's time in multiples of the defaults' time, or none where it was not measured.
pub struct Field {
    pub values: [u64; 2],
    pub ratio: Option<f64>,
}

const FIELD: (u32, u32) = (84, 34);
const LEFT: u32 = 150;
const TOP: u32 = 70;
const BOTTOM: u32 = 60;
const FONT: (&str, u32) = ("sans-serif", 12);
const TITLE: (&str, u32) = ("sans-serif", 16);

/// Draws the fields, the first parameter to the right and the second one upwards.
pub fn draw(
    file: &Path,
    title: &str,
    names: [&str; 2],
    defaults: [u64; 2],
    fields: &[Field],
) -> Result<(), Box<dyn Error>> {
    let axis = |which: usize| {
        let mut values: Vec<u64> = fields.iter().map(|field| field.values[which]).collect();
        values.sort_unstable();
        values.dedup();
        values
    };
    let [across, up] = [axis(0), axis(1)];
    let width = LEFT + FIELD.0 * across.len() as u32 + 20;
    let height = TOP + FIELD.1 * up.len() as u32 + BOTTOM;
    let area = SVGBackend::new(file, (width.max(640), height)).into_drawing_area();
    area.fill(&WHITE)?;
    let text = TextStyle::from(FONT).color(&BLACK);
    let centre = text.pos(Pos::new(HPos::Center, VPos::Center));
    area.draw(&Text::new(title.to_owned(), (12, 12), TITLE))?;
    let below = "time of a scan in multiples of what it takes with the defaults, which are framed";
    area.draw(&Text::new(below, (12, 36), FONT))?;

    let bottom = (TOP + FIELD.1 * up.len() as u32) as i32;
    let place = |values: [u64; 2]| {
        let [column, row] = [(&across, values[0]), (&up, values[1])].map(|(axis, value)| {
            axis.iter().position(|one| *one == value).expect("a field has these values") as i32
        });
        (LEFT as i32 + column * FIELD.0 as i32, bottom - (row + 1) * FIELD.1 as i32)
    };
    let size = (FIELD.0 as i32, FIELD.1 as i32);
    let frame = |(left, top): (i32, i32)| [(left, top), (left + size.0, top + size.1)];
    for field in fields {
        let (left, top) = place(field.values);
        let middle = (left + size.0 / 2, top + size.1 / 2);
        let (fill, told) = match field.ratio {
            Some(ratio) => (color(ratio), format!("{ratio:.2}")),
            None => (RGBColor(0xEE, 0xEE, 0xEE), "-".to_owned()),
        };
        area.draw(&Rectangle::new(frame((left, top)), fill.filled()))?;
        area.draw(&Text::new(told, middle, centre.clone()))?;
    }
    let framed = Rectangle::new(frame(place(defaults)), BLACK.stroke_width(2));
    area.draw(&framed)?;
    for value in &across {
        let (left, _) = place([*value, up[0]]);
        area.draw(&Text::new(value.to_string(), (left + size.0 / 2, bottom + 12), centre.clone()))?;
    }
    for value in &up {
        let (_, top) = place([across[0], *value]);
        let right = text.pos(Pos::new(HPos::Right, VPos::Center));
        let at = (LEFT as i32 - 8, top + size.1 / 2);
        area.draw(&Text::new(value.to_string(), at, right))?;
    }
    area.draw(&Text::new(names[0].to_owned(), (LEFT as i32, bottom + 32), FONT))?;
    area.draw(&Text::new(names[1].to_owned(), (12, TOP as i32), FONT))?;
    area.present()?;
    Ok(())
}

/// Blue where it is faster, white where it is the same, red where it is slower, in full from half and from twice the time on.
fn color(ratio: f64) -> RGBColor {
    const FAST: [f64; 3] = [58.0, 134.0, 200.0];
    const SLOW: [f64; 3] = [199.0, 75.0, 80.0];

    let strength = ratio.log2().clamp(-1.0, 1.0);
    let full = if strength < 0.0 { FAST } else { SLOW };
    let [red, green, blue] =
        full.map(|channel| (255.0 + (channel - 255.0) * strength.abs()).round() as u8);
    RGBColor(red, green, blue)
}
