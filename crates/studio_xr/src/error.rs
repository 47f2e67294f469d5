//! What can go wrong between the viewer and the runtime.

use openxr::sys;

/// Why there is no picture in the headset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum XrError {
    /// The loader, through which runtimes are found, is not installed.
    #[error(
        "the OpenXR loader cannot be loaded ({0}). Debian has it as libopenxr-loader1; a headset's own software brings it along"
    )]
    NoLoader(String),
    /// The loader is there, a runtime is not.
    #[error(
        "no OpenXR runtime answers ({0}). Start the headset's software (SteamVR, Monado, WiVRn), or name its runtime in \
         XR_RUNTIME_JSON"
    )]
    NoRuntime(String),
    /// The runtime lacks what the viewer cannot do without.
    #[error("the OpenXR runtime {runtime} lacks {what}: the viewer cannot draw for it")]
    Lacks {
        /// The runtime's name.
        runtime: String,
        /// What it lacks.
        what: String,
    },
    /// No headset is connected.
    #[error("the OpenXR runtime {0} has no headset now: is it switched on and connected?")]
    NoHeadset(String),
    /// No device could be opened on the headset's GPU.
    #[error("no GPU device could be opened for the headset: {0}")]
    NoGraphics(String),
    /// The runtime came back with another GPU than the one that the program runs on.
    #[error("the headset is on another GPU now: start the viewer anew to use it")]
    OtherGpu,
    /// The GPU was lost, and the one opened in its place does not belong to the headset's runtime.
    #[error("the GPU was lost and opened again without the headset's runtime: start the viewer anew to use the headset")]
    GpuLost,
    /// A call failed.
    #[error("the headset's runtime failed in {call}: {result}")]
    Call {
        /// The function of OpenXR.
        call: &'static str,
        /// What it returned.
        result: sys::Result,
    },
    /// The runtime announced that it is about to go.
    #[error("the headset's runtime is shutting down")]
    InstanceLossPending,
    /// The runtime announced that the session is about to go, as when the headset is unplugged.
    #[error("the headset is being disconnected")]
    SessionLossPending,
    /// The compositor did not give an image back in time.
    #[error("the headset's compositor holds its images for more than {0} ms")]
    ImageHeld(u64),
    /// A thread could not be started.
    #[error("the thread that waits for the headset's frames cannot be started: {0}")]
    NoThread(String),
}

impl XrError {
    /// Whether the connection to the runtime is void, and not the session alone.
    pub(crate) fn ends_connection(&self) -> bool {
        let session_alone = matches!(
            self,
            Self::SessionLossPending | Self::ImageHeld(_) | Self::Call { result: sys::Result::ERROR_SESSION_LOST, .. }
        );
        !session_alone
    }

    /// Whether trying again is of no use.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self, Self::OtherGpu | Self::GpuLost)
    }
}

/// Names the call that a result is of.
pub(crate) trait Called<T> {
    /// The same with the call's name in the error.
    fn called(self, call: &'static str) -> Result<T, XrError>;
}

impl<T> Called<T> for openxr::Result<T> {
    fn called(self, call: &'static str) -> Result<T, XrError> {
        self.map_err(|result| XrError::Call { call, result })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_session_leaves_the_connection_and_a_lost_instance_does_not() {
        let call = |result| XrError::Call { call: "xrEndFrame", result };
        assert!(!call(sys::Result::ERROR_SESSION_LOST).ends_connection());
        assert!(call(sys::Result::ERROR_INSTANCE_LOST).ends_connection());
        assert!(call(sys::Result::ERROR_RUNTIME_FAILURE).ends_connection());
        assert!(!XrError::SessionLossPending.ends_connection());
    }
}
