//! A network that compares two pictures.

use crate::{
    ModelError, ModelSettings, PackedPicture, PairResult, PairSignature, PairTask, pictures::Placement, runtime,
    signature::result_size,
};
use bevy::math::UVec2;
use ort::{
    environment::Environment,
    session::{
        RunOptions, Session, SessionOutputs,
        builder::{GraphOptimizationLevel, SessionBuilder},
    },
    value::TensorRef,
};
use parking_lot::{Condvar, Mutex};
use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

/// What a network found, one value a pixel and channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    /// Width and height in pixels, those of the pictures.
    pub size: UVec2,
    /// The channels one after the other (flow: x, then y; disparity alone), each row by row, in pixels. All are finite.
    pub values: Vec<f32>,
}

/// A network in an ONNX file whose inputs and outputs were checked.
pub struct PairModel {
    path: PathBuf,
    session: Session,
    signature: PairSignature,
    settings: ModelSettings,
    time_limit: Duration,
    /// The inputs' numbers, kept for the next pictures.
    planes: [Vec<f32>; 2],
}

impl PairModel {
    /// How long opening a file, and one run, may take.
    pub const TIME_LIMIT: Duration = Duration::from_secs(60);
    /// The largest file that is opened: what one protobuf message can hold.
    const MOST_BYTES: u64 = 1 << 31;
    /// Larger values are no motion of pictures.
    const MOST_PX: f32 = 16384.0;

    /// Opens a file. It may take seconds: not for the frame path.
    ///
    /// # Errors
    /// [`ModelError`] if ONNX Runtime is missing, if it does not take the file, or if the inputs and outputs are not the task's.
    pub fn open(path: &Path, task: PairTask, settings: &ModelSettings) -> Result<Self, ModelError> {
        let file_error = |why: String| ModelError::File { path: path.to_owned(), why };
        let file = fs::metadata(path).map_err(|error| file_error(error.to_string()))?;
        if !file.is_file() {
            return Err(file_error("it is no file".to_owned()));
        }
        if file.len() > Self::MOST_BYTES {
            return Err(file_error(format!("it has {} bytes, and an ONNX file has at most {}", file.len(), Self::MOST_BYTES)));
        }
        let environment = runtime::environment()?;
        let not_loaded = |why: String| ModelError::NotLoaded { path: path.to_owned(), why };
        let mut builder = session_builder(&environment).map_err(|error| not_loaded(error.to_string()))?;
        let canceler = builder.canceler();
        let (session, expired) = within(Self::TIME_LIMIT, || drop(canceler.cancel()), || builder.commit_from_file(path));
        let session = match session {
            Err(_) if expired => {
                return Err(ModelError::TooLong { path: path.to_owned(), limit_s: Self::TIME_LIMIT.as_secs() });
            }
            session => session.map_err(|error| not_loaded(error.to_string()))?,
        };
        let signature = PairSignature::of(&session, task, path, settings)?;
        Ok(Self {
            path: path.to_owned(),
            session,
            signature,
            settings: *settings,
            time_limit: Self::TIME_LIMIT,
            planes: [const { Vec::new() }; 2],
        })
    }

    /// Stops a run that takes longer, [`TIME_LIMIT`](Self::TIME_LIMIT) by default. The network's step under way is finished first.
    pub fn with_time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// How the model takes its pictures.
    pub fn signature(&self) -> &PairSignature {
        &self.signature
    }

    /// Compares two pictures. `wraps` says that their left and right edges meet; a model of fixed size does not know. With `both_ways`
    /// the second picture is compared with the first one too, which says how far the result can be trusted.
    ///
    /// # Errors
    /// [`ModelError`] if the pictures do not fit the model, if the run fails or takes too long, or if what comes out is not finite.
    pub fn compare(
        &mut self,
        [first, second]: [PackedPicture; 2],
        wraps: bool,
        both_ways: bool,
    ) -> Result<PairResult, ModelError> {
        let forward = self.run([first, second], wraps, false)?;
        // A stereo network takes the left eye first; in a mirror, the right one is the left.
        let mirrored = self.signature.task == PairTask::Disparity;
        let backward = if both_ways { Some(self.run([second, first], wraps, mirrored)?) } else { None };
        Ok(PairResult { forward, backward })
    }

    fn run(&mut self, pictures: [PackedPicture; 2], wraps: bool, mirrored: bool) -> Result<Dense, ModelError> {
        let Self { path, session, signature, settings, time_limit, planes } = self;
        let size = pictures[0].size;
        let placement = Placement::new(path, signature, size, wraps)?;
        for picture in &pictures {
            if picture.size != size || picture.bytes.len() as u64 != u64::from(size.x) * u64::from(size.y) * 4 {
                return Err(ModelError::Size { expected: size, got: picture.size });
            }
        }
        planes.iter_mut().for_each(Vec::clear);
        let together = signature.inputs.len() == 1;
        for (index, picture) in pictures.iter().enumerate() {
            placement.write(picture, signature, settings.bgr, mirrored, &mut planes[if together { 0 } else { index }]);
        }
        let failed = |error: ort::Error| ModelError::Run { path: path.clone(), why: error.to_string() };
        let channels = signature.channels * if together { 2 } else { 1 };
        let shape = [1, channels, placement.padded.y as usize, placement.padded.x as usize];
        let inputs = signature
            .inputs
            .iter()
            .zip(planes.iter())
            .map(|(name, planes)| Ok((name.as_str(), TensorRef::from_array_view((shape, planes.as_slice()))?)))
            .collect::<Result<Vec<_>, ort::Error>>()
            .map_err(failed)?;
        let options = RunOptions::new().map_err(failed)?;
        let (outputs, expired) = within(*time_limit, || drop(options.terminate()), || session.run_with_options(inputs, &options));
        let outputs = match outputs {
            Err(_) if expired => {
                return Err(ModelError::TooLong { path: path.clone(), limit_s: time_limit.as_secs() });
            }
            outputs => outputs.map_err(failed)?,
        };
        let (values, factor) =
            best_output(&outputs, signature, &placement).map_err(|what| ModelError::Output { path: path.clone(), what })?;
        let mut found = placement.read(values, factor, signature.task, mirrored);
        let broken = found.values.iter().filter(|value| !value.is_finite()).count();
        if broken > 0 {
            let what = format!("{broken} values that are not finite, of {}", found.values.len());
            return Err(ModelError::Output { path: path.clone(), what });
        }
        let sign = if settings.negative_disparity && signature.task == PairTask::Disparity { -1.0 } else { 1.0 };
        found.values.iter_mut().for_each(|value| *value = (*value * sign).clamp(-Self::MOST_PX, Self::MOST_PX));
        Ok(found)
    }
}

fn session_builder(environment: &Environment) -> ort::Result<SessionBuilder> {
    // Half of the machine, and no thread that spins between runs: other nodes work too.
    let threads = (thread::available_parallelism().map_or(1, usize::from) / 2).clamp(1, 4);
    Ok(Session::builder(environment)?
        .with_intra_threads(threads)?
        .with_inter_threads(1)?
        .with_intra_op_spinning(false)?
        .with_inter_op_spinning(false)?
        .with_deterministic_compute(true)?
        // The allocator with a limit.
        .with_env_allocators()?
        // Sizes change with the pictures: a plan of the memory for each would be kept.
        .with_memory_pattern(false)?
        .with_optimization_level(GraphOptimizationLevel::All)?)
}

/// The finest output, the last of them where a network gives each of its rounds: its values and how many pixels of the network's
/// picture one of them is.
fn best_output<'a>(
    outputs: &'a SessionOutputs,
    signature: &PairSignature,
    placement: &Placement,
) -> Result<(&'a [f32], u32), String> {
    let mut best: Option<(&[f32], u32)> = None;
    let mut seen = Vec::new();
    for name in &signature.outputs {
        let Some(value) = outputs.get(name) else { continue };
        let (shape, values) = value.try_extract_tensor::<f32>().map_err(|error| error.to_string())?;
        let sides: Vec<_> = shape.iter().map(i64::to_string).collect();
        seen.push(sides.join("×"));
        let factor = result_size(signature.task, shape).and_then(|size| placement.factor(size));
        let enough = |factor: u32| {
            let result = placement.padded / factor;
            values.len() >= signature.task.channels() * (result.x * result.y) as usize
        };
        if let Some(factor) = factor.filter(|factor| enough(*factor))
            && best.is_none_or(|(_, other)| factor <= other)
        {
            best = Some((values, factor));
        }
    }
    best.ok_or_else(|| {
        let UVec2 { x, y } = placement.padded;
        format!("results of {} for pictures of {x}×{y}", seen.join(" and "))
    })
}

/// Does something, and stops it when it takes longer. Also says whether it did.
fn within<T>(limit: Duration, stop: impl FnOnce() + Send, work: impl FnOnce() -> T) -> (T, bool) {
    let (done, changed) = (Mutex::new(false), Condvar::new());
    thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut done = done.lock();
            let expired = changed.wait_while_for(&mut done, |done| !*done, limit).timed_out();
            drop(done);
            if expired {
                stop();
            }
            expired
        });
        let result = work();
        *done.lock() = true;
        changed.notify_all();
        (result, watch.join().unwrap_or(false))
    })
}
