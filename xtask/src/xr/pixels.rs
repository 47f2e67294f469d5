//! What the runtime's compositor makes of our layers, to the pixel: photographed and compared with what geometry says must be seen.

use super::{
    scenes::{SOON, Stage},
    screen::{Screen, WINDOW},
};
use std::fs;

/// The simulated headset's angle of view, across and down.
const FOV_DEG: f64 = 85.0;
/// How far a colour may be off, of 255: coding, and the head's tilt, which the log leaves out.
const TOLERANCE: f64 = 10.0;
/// The same on a screen, where colours change four times as fast with the direction.
const SCREEN_TOLERANCE: f64 = 18.0;
/// Where flat pictures hang, and how wide `--projection flat` is.
const SCREEN_DISTANCE_M: f64 = 2.5;
const SCREEN_DEG: f64 = 60.0;
/// The source: two eyes' pictures side by side, each square.
const SIZE: [usize; 2] = [640, 320];
/// Blue in the left and the right eye's picture. Red grows to the right, green downwards.
const BLUE: [u8; 2] = [40, 210];

/// What is shown, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    Sphere,
    HalfSphere,
    Screen,
    /// A sphere with a 3D scene before it: a black cube.
    SphereAndCube,
}

pub(super) fn equirect2(stage: &Stage) -> Result<(), String> {
    photograph(stage, Shown::Sphere, "auto", "equirect2 left")
}

pub(super) fn half_sphere(stage: &Stage) -> Result<(), String> {
    photograph(stage, Shown::HalfSphere, "auto", "equirect2 left")
}

pub(super) fn projection(stage: &Stage) -> Result<(), String> {
    photograph(stage, Shown::Sphere, "eye-views", "projection")
}

pub(super) fn quad(stage: &Stage) -> Result<(), String> {
    photograph(stage, Shown::Screen, "auto", "quad left")
}

pub(super) fn scene(stage: &Stage) -> Result<(), String> {
    photograph(stage, Shown::SphereAndCube, "auto", "scene")
}

fn photograph(stage: &Stage, shown: Shown, layers: &str, layer: &str) -> Result<(), String> {
    fs::write(stage.out().join("eyes.tga"), tga()).map_err(|error| format!("eyes.tga cannot be written: {error}"))?;
    let (_studio, link) = stage.studio_of(BLUEPRINT)?;
    let screen = Screen::start(stage)?;
    let _monado = stage.composing_monado()?;
    let projection = match shown {
        Shown::Sphere | Shown::SphereAndCube => "equirectangular",
        Shown::HalfSphere => "half-equirectangular",
        Shown::Screen => "flat",
    };
    let cube = stage.run_inside().join("cube.usda");
    let cube = cube.to_string_lossy();
    let mut arguments = vec!["--projection", projection, "--stereo", "left-right", "--xr-layers", layers];
    if shown == Shown::SphereAndCube {
        fs::write(stage.run_outside().join("cube.usda"), CUBE)
            .map_err(|error| format!("cube.usda cannot be written: {error}"))?;
        arguments.extend(["--xr-scene", &cube]);
    }
    let mut viewer = stage.viewer(&link, &arguments)?;
    viewer.until("pictures in the headset", SOON, || (stage.events().with_picture().count() > 8).then_some(()))?;
    let names: Vec<_> = stage.events().with_picture().map(|frame| frame["layers"].clone()).collect();
    if !names.iter().flat_map(|names| names.as_array()).flatten().any(|name| name == layer) {
        return Err(format!("{layer} is not among the layers: {names:?}"));
    }
    let mut nearest = Difference { off: f64::INFINITY, where_at: "no frame was logged".to_owned() };
    // The compositor's window may need a while until it is there.
    for _ in 0..PHOTOGRAPHS {
        let before = stage.events().with_picture().count();
        let picture = screen.photograph()?;
        let events = stage.events();
        // The photograph is of one of the frames of that time, or of one shortly before, and the head moves all the while.
        let frames = events.with_picture().skip(before.saturating_sub(FRAMES_UNDER_WAY));
        let found = frames.map(|frame| difference(shown, frame, &picture)).min_by(|a, b| a.off.total_cmp(&b.off));
        nearest = found.unwrap_or(nearest);
        if nearest.off <= if shown == Shown::Screen { SCREEN_TOLERANCE } else { TOLERANCE } {
            println!("The photograph is within {:.0} of 255 of what geometry says.", nearest.off);
            return Ok(());
        }
    }
    Err(nearest.where_at)
}

/// Photographs until one must show what is to be seen.
const PHOTOGRAPHS: usize = 6;
/// Where in an eye's view it is looked at, from -1 to 1 across: above the figures.
const LOOKED_AT: [f64; 7] = [-0.8, -0.5, -0.25, 0.0, 0.25, 0.5, 0.8];

/// Frames that the compositor may have before it shows them.
const FRAMES_UNDER_WAY: usize = 8;

/// How far a photograph is off what a frame's head must see, and where.
struct Difference {
    off: f64,
    where_at: String,
}

fn difference(shown: Shown, frame: &serde_json::Value, picture: &[u8]) -> Difference {
    let number = |value: &serde_json::Value| value.as_f64().unwrap_or(f64::NAN);
    let head = [0, 1].map(|axis| number(&frame["head_deg"][axis]).to_radians());
    let mut worst = Difference { off: 0.0, where_at: String::new() };
    let (mut black, mut colored) = (0, 0);
    for eye in 0..2 {
        let place = [0, 1, 2].map(|axis| number(&frame["eyes_m"][eye][axis]));
        for at in LOOKED_AT.into_iter().flat_map(|x| [0.0, 0.25, 0.5].map(|y| [x, y])) {
            let Some(wanted) = color(shown, eye, place, turned(head, at)) else { continue };
            *(if wanted == [0.0; 3] { &mut black } else { &mut colored }) += 1;
            let pixel = [
                (WINDOW[0] as f64 * (0.25 + 0.5 * eye as f64 + 0.25 * at[0])) as usize,
                (WINDOW[1] as f64 * (0.5 - 0.5 * at[1])) as usize,
            ];
            let seen = mean(picture, pixel);
            let off = (0..3).map(|channel| (seen[channel] - wanted[channel]).abs()).fold(0.0, f64::max);
            if off.is_nan() || off > worst.off {
                let eye = ["left", "right"][eye];
                let where_at = format!("the {eye} eye sees {seen:.0?} at {at:?}, where {wanted:.0?} is to be seen");
                worst = Difference { off: if off.is_nan() { f64::INFINITY } else { off }, where_at };
            }
        }
    }
    // A picture that is black all over, or has nothing before it, must not do.
    if colored < 4 || (shown == Shown::SphereAndCube && black < 2) {
        let where_at = format!("only {colored} places with a colour and {black} without were seen");
        return Difference { off: f64::INFINITY, where_at };
    }
    worst
}

/// The direction at a place of an eye's view (-1 to 1, right and up) of a head with this yaw and pitch.
fn turned(head: [f64; 2], at: [f64; 2]) -> [f64; 3] {
    let edge = (FOV_DEG / 2.0).to_radians().tan();
    let (x, y, z) = (at[0] * edge, at[1] * edge, -1.0);
    let (sin, cos) = head[1].sin_cos();
    let (y, z) = (y * cos - z * sin, y * sin + z * cos);
    let (sin, cos) = head[0].sin_cos();
    [x * cos - z * sin, y, x * sin + z * cos]
}

/// The colour that an eye at `place` sees in a direction; none so near to an edge that it might be either.
fn color(shown: Shown, eye: usize, place: [f64; 3], direction: [f64; 3]) -> Option<[f64; 3]> {
    let [x, y, z] = direction;
    if shown == Shown::SphereAndCube {
        let reach = (CUBE_FRONT_M + place[2]) / -z;
        let from_middle = (place[0] + x * reach).abs().max((place[1] + y * reach).abs());
        if (from_middle - CUBE_HALF_M).abs() < 0.3 {
            return None;
        } else if from_middle < CUBE_HALF_M {
            return Some([0.0; 3]);
        }
    }
    let [u, v] = match shown {
        Shown::Sphere | Shown::HalfSphere | Shown::SphereAndCube => {
            let across = if shown == Shown::HalfSphere { 180.0_f64 } else { 360.0 };
            let longitude = x.atan2(-z).to_degrees();
            let latitude = y.atan2(x.hypot(z)).to_degrees();
            [0.5 + longitude / across, 0.5 - latitude / 180.0]
        }
        Shown::Screen => {
            let half = SCREEN_DISTANCE_M * (SCREEN_DEG / 2.0).to_radians().tan();
            let reach = (SCREEN_DISTANCE_M + place[2]) / -z;
            [0.5 + (place[0] + x * reach) / (2.0 * half), 0.5 - (place[1] + y * reach) / (2.0 * half)]
        }
    };
    // At its edges it may be either.
    if shown == Shown::Screen && [u, v].iter().any(|share| share.abs().min((share - 1.0).abs()) < 0.04) {
        return None;
    }
    // Beside the screen it is black.
    if [u, v].iter().any(|share| !(0.0..=1.0).contains(share)) {
        return Some([0.0; 3]);
    }
    Some([u * 255.0, v * 255.0, f64::from(BLUE[eye])])
}

/// The mean colour of five by five pixels.
fn mean(picture: &[u8], [x, y]: [usize; 2]) -> [f64; 3] {
    let mut sum = [0.0; 3];
    for (dx, dy) in (0..25).map(|index| (index % 5, index / 5)) {
        let at = ((y + dy).saturating_sub(2).min(WINDOW[1] - 1) * WINDOW[0] + (x + dx).saturating_sub(2)) * 3;
        for (channel, sum) in sum.iter_mut().enumerate() {
            *sum += f64::from(picture.get(at + channel).copied().unwrap_or_default()) / 25.0;
        }
    }
    sum
}

/// The source's picture as a Targa file: a header of 18 bytes, then blue, green and red.
fn tga() -> Vec<u8> {
    let [width, height] = SIZE;
    let [low, high] = (width as u16).to_le_bytes();
    let [down_low, down_high] = (height as u16).to_le_bytes();
    let mut bytes = vec![0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, low, high, down_low, down_high, 24, 0x20];
    for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
        let half = width / 2;
        let share = |at: usize, of: usize| (at * 255 / of) as u8;
        bytes.extend([BLUE[x / half], share(y, height), share(x % half, half)]);
    }
    bytes
}

/// How far away the front of the cube is, and half its side.
const CUBE_FRONT_M: f64 = 4.0;
const CUBE_HALF_M: f64 = 1.0;
/// A cube before the eyes of someone who stands at the scene's origin.
const CUBE: &str = r#"#usda 1.0
(
    defaultPrim = "Cube"
    metersPerUnit = 1
    upAxis = "Y"
)
def Cube "Cube"
{
    double size = 2
    color3f[] primvars:displayColor = [(0, 0, 0)]
    double3 xformOp:translate = (0, 1.6, -5)
    uniform token[] xformOpOrder = ["xformOp:translate"]
}
"#;

const BLUEPRINT: &str = r#"(version: 1, nodes: {
    "source": (kind: "StillInput", settings: (path: "eyes.tga", picture: (rate_hz: Some(10.0)))),
    "colour": (kind: "ColorConvert"),
    "encoder": (kind: "VideoEncoder", settings: (bitrate_bps: 8000000, frame_rate_hz: 10.0, codec: H264)),
    "stream": (kind: "WebTransportOutput", settings: (bind: "127.0.0.1:0")),
}, links: ["source.frame -> colour.frame", "colour.frame -> encoder.frame", "encoder.packets -> stream.packets"])
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_lie_where_they_are_looked_for() {
        let seen = |shown, eye, yaw_deg: f64, pitch_deg: f64| {
            color(shown, eye, [0.0; 3], turned([yaw_deg.to_radians(), pitch_deg.to_radians()], [0.0; 2]))
        };
        assert_eq!(seen(Shown::Sphere, 0, 0.0, 0.0), Some([127.5, 127.5, 40.0]));
        let right = seen(Shown::Sphere, 1, 90.0, 0.0).unwrap();
        assert!((right[0] - 191.25).abs() < 1e-9 && right[2] == 210.0, "{right:?}");
        let up = seen(Shown::HalfSphere, 0, 0.0, 45.0).unwrap();
        assert!((up[1] - 63.75).abs() < 1e-9, "{up:?}");
        let inside = seen(Shown::Screen, 0, 27.0, 0.0).unwrap();
        assert!(inside[0] > 235.0, "{inside:?}");
        assert_eq!([29.9, 31.0].map(|yaw_deg| seen(Shown::Screen, 0, yaw_deg, 0.0)), [None; 2]);
        assert_eq!(seen(Shown::Screen, 0, 34.0, 0.0), Some([0.0; 3]));
        let cube = [0.0, 14.0, 25.0].map(|yaw_deg| seen(Shown::SphereAndCube, 0, yaw_deg, 0.0));
        assert!(cube[0] == Some([0.0; 3]) && cube[1].is_none() && cube[2].is_some_and(|color| color[0] > 127.5), "{cube:?}");
    }
}
