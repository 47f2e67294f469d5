//! Logs of inertial measurement units.

use bevy::math::DVec3;
use std::{fs::File, io::Read as _, path::Path};

/// One measurement, in the rig's frame (x right, y down, z ahead).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ImuSample {
    /// Seconds since the log began.
    pub time_s: f64,
    /// Angular rate around the axes, in radians a second.
    pub rate: DVec3,
    /// What the accelerometer feels, in m/s²: at rest, the way up times 9.81. Zero where the log has none.
    pub acceleration: DVec3,
}

/// A log of rates and accelerations.
#[derive(Clone, Debug, PartialEq)]
pub struct ImuLog {
    /// The measurements in order of time.
    pub samples: Vec<ImuSample>,
    /// How long the sensor takes to read a picture, in milliseconds, where the log says so.
    pub readout_ms: Option<f64>,
}

/// How an IMU sits in the rig: which of its axes points to the rig's right, up, and back. A small letter is the axis reversed, as in
/// Gyroflow: `XYZ` is an IMU whose axes point right, up and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axes([(usize, bool); 3]);

/// Why a log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ImuLogError {
    /// The file cannot be read.
    #[error("the IMU log {file} cannot be read: {source}")]
    Io {
        /// The file.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file is larger than any log that is read.
    #[error("the IMU log {file} is larger than {} MiB: cut it to the clip", ImuLog::MAX_BYTES >> 20)]
    TooLarge {
        /// The file.
        file: String,
    },
    /// The file is something else.
    #[error(
        "{file} is no IMU log: it must be Gyroflow's .gcsv (“GYROFLOW IMU LOG” in the first line), or lines of a time in nanoseconds, \
         acceleration, magnetic field and angular rate (x, y, z each), 10 numbers or more a line"
    )]
    Format {
        /// The file.
        file: String,
    },
    /// A line that makes no sense.
    #[error("the IMU log {file}, line {line}: {reason}")]
    Line {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// Letters that name no axes.
    #[error("the IMU's axes “{0}” must be the letters x, y and z, each once, a small letter for an axis reversed: “XYZ”, “YxZ”")]
    Axes(String),
}

impl core::str::FromStr for Axes {
    type Err = ImuLogError;

    fn from_str(text: &str) -> Result<Self, ImuLogError> {
        let fail = || ImuLogError::Axes(text.chars().take(16).collect());
        let letters: Vec<char> = text.trim().chars().collect();
        let [right, up, back] = letters[..] else { return Err(fail()) };
        let axis = |letter: char| match letter.to_ascii_uppercase() {
            'X' => Ok((0, letter.is_ascii_lowercase())),
            'Y' => Ok((1, letter.is_ascii_lowercase())),
            'Z' => Ok((2, letter.is_ascii_lowercase())),
            _ => Err(fail()),
        };
        let axes = [axis(right)?, axis(up)?, axis(back)?];
        let mut seen = axes.map(|(axis, _)| axis);
        seen.sort_unstable();
        if seen == [0, 1, 2] { Ok(Self(axes)) } else { Err(fail()) }
    }
}

impl Axes {
    /// Right, up, back.
    pub const RIGHT_UP_BACK: Self = Self([(0, false), (1, false), (2, false)]);

    /// A vector of the IMU in the rig's frame.
    fn rig_from_imu(self, vector: DVec3) -> DVec3 {
        let [right, up, back] = self.0.map(|(axis, reversed)| if reversed { -vector[axis] } else { vector[axis] });
        DVec3::new(right, -up, -back)
    }
}

/// What a log's lines mean.
struct Columns {
    /// Where the rate and the acceleration begin.
    rate: usize,
    acceleration: Option<usize>,
    /// Seconds, radians a second and m/s² of a log's units.
    time_scale: f64,
    rate_scale: f64,
    acceleration_scale: f64,
}

impl ImuLog {
    /// The largest file that is read.
    pub const MAX_BYTES: usize = 64 << 20;
    /// The most measurements: half an hour at a kilohertz.
    pub const MAX_SAMPLES: usize = 2_000_000;
    /// Fastest rate and strongest acceleration that a sensor can mean, in radians a second and m/s².
    const MOST: [f64; 2] = [200.0, 2000.0];
    /// Standard gravity in m/s².
    pub(super) const GRAVITY: f64 = 9.80665;

    /// Reads a log from a file: Gyroflow's `.gcsv`, or the log of a phone in columns. `axes` says how the IMU sits in the rig; `None` takes
    /// what the log says, or right, up and back.
    ///
    /// # Errors
    /// [`ImuLogError`] naming the file and, where it is known, the line.
    pub fn read(path: &Path, axes: Option<Axes>) -> Result<Self, ImuLogError> {
        let file = path.display().to_string();
        let io = |source| ImuLogError::Io { file: file.clone(), source };
        // A pipe that nobody writes into would be waited for without end.
        if !std::fs::metadata(path).map_err(io)?.is_file() {
            return Err(io(std::io::Error::new(std::io::ErrorKind::InvalidInput, "it is no regular file")));
        }
        let mut bytes = Vec::new();
        // A file that grows must not fill the memory.
        File::open(path).map_err(io)?.take(Self::MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(io)?;
        Self::from_bytes(&file, &bytes, axes)
    }

    /// Reads a log from a file's bytes; `file` is its name for messages.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub fn from_bytes(file: &str, bytes: &[u8], axes: Option<Axes>) -> Result<Self, ImuLogError> {
        if bytes.len() > Self::MAX_BYTES {
            return Err(ImuLogError::TooLarge { file: file.to_owned() });
        }
        let text = core::str::from_utf8(bytes).map_err(|_| ImuLogError::Format { file: file.to_owned() })?;
        let first = text.lines().next().unwrap_or_default().trim();
        if ["GYROFLOW IMU LOG", "CAMERA IMU LOG"].contains(&first) {
            return Self::from_gcsv(file, text, axes);
        }
        // Nanoseconds, acceleration, magnetic field, rate; what follows is the phone's own idea of its attitude.
        let columns = Columns { rate: 7, acceleration: Some(1), time_scale: 1e-9, rate_scale: 1.0, acceleration_scale: 1.0 };
        if first.split_whitespace().filter(|word| word.parse::<f64>().is_ok()).count() < 10 {
            return Err(ImuLogError::Format { file: file.to_owned() });
        }
        let lines = text.lines().zip(1..);
        let samples = read_samples(file, lines, &columns, axes.unwrap_or(Axes::RIGHT_UP_BACK), char::is_whitespace)?;
        Ok(Self { samples, readout_ms: None })
    }

    fn from_gcsv(file: &str, text: &str, axes: Option<Axes>) -> Result<Self, ImuLogError> {
        let fail = |line, reason: String| ImuLogError::Line { file: file.to_owned(), line, reason };
        let [mut time_scale, mut rate_scale, mut gravities] = [None, None, None];
        let (mut own_axes, mut readout_ms) = (Axes::RIGHT_UP_BACK, None);
        let mut lines = text.lines().zip(1..).skip(1);
        let header = loop {
            let Some((text, line)) = lines.next() else {
                return Err(fail(1, "no line of column names (t,gx,gy,gz,ax,ay,az) follows".to_owned()));
            };
            let text = text.trim();
            let (key, value) = text.split_once([',', ':']).unwrap_or((text, ""));
            let number = || match value.trim().parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(number),
                _ => Err(fail(line, format!("{key} is “{}”: it must be a number", short(value)))),
            };
            match key.trim() {
                "t" => break text,
                "tscale" => time_scale = Some(number()?),
                "gscale" => rate_scale = Some(number()?),
                "ascale" => gravities = Some(number()?),
                "frame_readout_time" => readout_ms = Some(number()?).filter(|time| (0.0..=1000.0).contains(time)),
                "orientation" => own_axes = value.parse().map_err(|error: ImuLogError| fail(line, error.to_string()))?,
                _ => {}
            }
        };
        let names: Vec<&str> = header.split(',').map(str::trim).collect();
        let place = |name: &str| names.iter().position(|column| *column == name);
        let row_of = |names: [&str; 3]| {
            let first = place(names[0])?;
            (place(names[1]) == Some(first + 1) && place(names[2]) == Some(first + 2)).then_some(first)
        };
        let needed = |value: Option<f64>, name: &str| match value {
            Some(value) if value > 0.0 => Ok(value),
            _ => Err(fail(1, format!("the header must have {name} above 0"))),
        };
        let columns = Columns {
            rate: row_of(["gx", "gy", "gz"]).ok_or_else(|| fail(1, "there are no columns gx, gy, gz side by side".to_owned()))?,
            acceleration: row_of(["ax", "ay", "az"]),
            time_scale: needed(time_scale, "tscale")?,
            rate_scale: needed(rate_scale, "gscale")?,
            acceleration_scale: gravities.unwrap_or(1.0) * Self::GRAVITY,
        };
        let samples = read_samples(file, lines, &columns, axes.unwrap_or(own_axes), |letter| letter == ',')?;
        Ok(Self { samples, readout_ms })
    }

    /// From the first to the last measurement, in seconds.
    pub fn duration_s(&self) -> f64 {
        self.samples.last().map_or(0.0, |last| last.time_s)
    }
}

fn short(text: &str) -> String {
    text.trim().chars().take(40).collect()
}

/// Reads the lines that follow a header. What is no number is refused with its line; time that steps back is too.
fn read_samples<'a>(
    file: &str,
    lines: impl Iterator<Item = (&'a str, usize)>,
    columns: &Columns,
    axes: Axes,
    separator: impl Fn(char) -> bool + Copy,
) -> Result<Vec<ImuSample>, ImuLogError> {
    let mut samples: Vec<ImuSample> = Vec::new();
    let mut start_s = None;
    for (text, line) in lines {
        let text = text.trim();
        if text.is_empty() {
            continue;
        }
        let fail = |reason: String| ImuLogError::Line { file: file.to_owned(), line, reason };
        if samples.len() >= ImuLog::MAX_SAMPLES {
            return Err(fail(format!("there are more than {} measurements: cut the log to the clip", ImuLog::MAX_SAMPLES)));
        }
        let needed = 3 + columns.rate.max(columns.acceleration.unwrap_or(0));
        let mut numbers = [0.0; 16];
        let mut count = 0;
        for word in text.split(separator).map(str::trim).filter(|word| !word.is_empty()).take(needed.min(numbers.len())) {
            let number = word.parse::<f64>().ok().filter(|number| number.is_finite());
            numbers[count] = number.ok_or_else(|| fail(format!("“{}” is no number", short(word))))?;
            count += 1;
        }
        if count < needed {
            return Err(fail(format!("there are {count} numbers: {needed} are needed")));
        }
        let vector = |first: usize| DVec3::new(numbers[first], numbers[first + 1], numbers[first + 2]);
        let rate = vector(columns.rate) * columns.rate_scale;
        let acceleration = columns.acceleration.map_or(DVec3::ZERO, |first| vector(first) * columns.acceleration_scale);
        for (value, most, what) in [(rate, ImuLog::MOST[0], "rate"), (acceleration, ImuLog::MOST[1], "acceleration")] {
            if value.abs().max_element() > most {
                return Err(fail(format!("no sensor measures this {what} ({:.0}): check the scales", value.abs().max_element())));
            }
        }
        let time_s = numbers[0] * columns.time_scale;
        let time_s = time_s - *start_s.get_or_insert(time_s);
        if samples.last().is_some_and(|last| time_s <= last.time_s) {
            return Err(fail("time does not go on from the line before".to_owned()));
        }
        samples.push(ImuSample { time_s, rate: axes.rig_from_imu(rate), acceleration: axes.rig_from_imu(acceleration) });
    }
    if samples.len() < 2 {
        return Err(ImuLogError::Line {
            file: file.to_owned(),
            line: 1,
            reason: "there are fewer than two measurements".to_owned(),
        });
    }
    Ok(samples)
}
