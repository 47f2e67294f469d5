//! Real footage in the headset: the demo's two fisheye pictures, stitched, streamed and seen.

use super::{
    scenes::{SOON, Stage},
    screen::{Screen, WINDOW},
};

/// The part of the views that is compared, from the top: the figures hang nearer than the sphere.
const COMPARED: f64 = 0.6;
/// How far the eyes' views may differ on average, of 255: a mono picture on an infinitely large sphere is the same for both.
const TOLERANCE: f64 = 2.0;
/// How far pixels are from the mean, on average and of 255, where something is to be seen.
const CONTRAST: f64 = 15.0;
/// The compositor's window may need a while until it is there.
const PHOTOGRAPHS: usize = 6;

/// The demo's stream through the compositor. The photograph is left beside what the programs said.
pub(super) fn scene(stage: &Stage) -> Result<(), String> {
    let out = stage.out().join("demo");
    let arguments = ["demo", "--headless", "--no-view", "--seconds", "120", "--out", &out.to_string_lossy()];
    let (_studio, link) = stage.studio_with(&arguments)?;
    let screen = Screen::start(stage)?;
    let _monado = stage.composing_monado()?;
    let mut viewer = stage.viewer(&link, &[])?;
    // The figures are those of a second.
    viewer.until("pictures in the headset", SOON, || (stage.events().with_picture().count() > 40).then_some(()))?;
    let layers: Vec<_> = stage.events().with_picture().filter_map(|frame| frame["layers"].as_array().cloned()).collect();
    if !layers.iter().any(|names| ["equirect2", "panel"].iter().all(|wanted| names.iter().any(|name| name == wanted))) {
        return Err(format!("the sphere and the figures were never seen together: {layers:?}"));
    }
    let mut why = String::new();
    for _ in 0..PHOTOGRAPHS {
        match seen(&screen.photograph()?, WINDOW) {
            Ok(difference) => {
                println!("The eyes' views differ by {difference:.2} of 255.");
                return Ok(());
            }
            Err(error) => why = error,
        }
    }
    Err(why)
}

/// Looks at a photograph. Returns how far the eyes' views differ on average.
fn seen(rgb: &[u8], [width, height]: [usize; 2]) -> Result<f64, String> {
    let (row, eye) = (width * 3, width / 2 * 3);
    let rows = (height as f64 * COMPARED) as usize;
    let views =
        |at: usize| rgb.chunks_exact(row).take(rows).flat_map(move |row| &row[at..at + eye]).map(|value| f64::from(*value));
    let count = (rows * eye) as f64;
    let mean = views(0).sum::<f64>() / count;
    let contrast = views(0).map(|value| (value - mean).abs()).sum::<f64>() / count;
    if contrast < CONTRAST {
        return Err(format!("the left eye sees next to nothing: {contrast:.1} of 255 about a mean of {mean:.0}"));
    }
    let difference = views(0).zip(views(eye)).map(|(left, right)| (left - right).abs()).sum::<f64>() / count;
    if difference > TOLERANCE {
        return Err(format!("the eyes see different pictures of one that is for both: {difference:.1} of 255 apart"));
    }
    Ok(difference)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_view_and_views_apart_are_found() {
        let picture = |color: fn(usize) -> u8| (0..8 * 5 * 8).flat_map(|at| [color(at % 16); 3]).collect::<Vec<u8>>();
        assert_eq!(seen(&picture(|x| if x % 8 < 4 { 20 } else { 90 }), [16, 20]), Ok(0.0));
        assert!(seen(&picture(|_| 80), [16, 20]).unwrap_err().contains("nothing"));
        assert!(seen(&picture(|x| if x < 4 { 20 } else { 90 }), [16, 20]).unwrap_err().contains("different"));
    }
}
