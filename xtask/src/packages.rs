//! What the project needs of a machine beside Rust, and why.

/// What a package is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Compiling.
    Build,
    /// Running the program and its demo.
    Run,
    /// Running the tests and benches.
    Test,
}

impl Group {
    /// Everything.
    pub const ALL: &'static [Self] = &[Self::Build, Self::Run, Self::Test];
    /// What the demo needs.
    pub const DEMO: &'static [Self] = &[Self::Build, Self::Run];
}

/// A Debian package.
#[derive(Debug)]
pub struct Package {
    /// Its name in Debian.
    pub name: &'static str,
    /// What it is needed for.
    pub group: Group,
    /// What the project does with it.
    pub why: &'static str,
}

const fn package(group: Group, name: &'static str, why: &'static str) -> Package {
    Package { name, group, why }
}

/// The Debian packages, in the order they are shown in.
pub const PACKAGES: &[Package] = &[
    package(Group::Build, "gcc", "links the programs and compiles the C parts of ring (TLS)"),
    package(Group::Build, "libc6-dev", "the C library to link with"),
    package(Group::Build, "pkg-config", "finds the libraries below"),
    package(Group::Build, "libgstreamer1.0-dev", "GStreamer: capture, decoders, encoders, muxers"),
    package(Group::Build, "libgstreamer-plugins-base1.0-dev", "GStreamer's video and app libraries"),
    package(Group::Build, "libudev-dev", "gamepads"),
    package(Group::Run, "gstreamer1.0-plugins-base", "decoding of any file, colour conversion, scaling, Opus"),
    package(
        Group::Run,
        "gstreamer1.0-plugins-good",
        "cameras (V4L2), microphones and sound cards (PulseAudio), MP4 and Matroska",
    ),
    package(Group::Run, "gstreamer1.0-plugins-bad", "H.264, H.265 and AV1 parsers, x265, AV1 and AAC encoders, hardware codecs"),
    package(Group::Run, "gstreamer1.0-plugins-ugly", "the x264 encoder"),
    package(Group::Run, "gstreamer1.0-libav", "software decoders"),
    package(Group::Run, "gstreamer1.0-tools", "gst-inspect-1.0, to look for what GStreamer can do here"),
    package(Group::Run, "libvulkan1", "the Vulkan loader"),
    package(Group::Run, "mesa-vulkan-drivers", "Vulkan on AMD, Intel, and in software where there is no GPU"),
    package(Group::Run, "vulkan-tools", "vulkaninfo, to look for a Vulkan adapter"),
    package(Group::Run, "libx11-6", "windows"),
    package(Group::Run, "libx11-xcb1", "windows"),
    package(Group::Run, "libxcursor1", "the mouse in windows"),
    package(Group::Run, "libxi6", "mouse and touch in windows"),
    package(Group::Run, "libxkbcommon0", "the keyboard in windows"),
    package(Group::Run, "libxkbcommon-x11-0", "the keyboard in windows"),
    package(Group::Test, "gstreamer1.0-nice", "WebRTC in GStreamer, a peer of the latency bench"),
    package(Group::Test, "ffmpeg", "an independent reader of our recordings, and the peer of the stitch bench"),
    package(Group::Test, "xvfb", "windows on a machine without a screen"),
    package(
        Group::Test,
        "python3-venv",
        "usd-core and OpenCV, which tests and benches compare us with, each in an environment of its own",
    ),
    package(Group::Test, "xdotool", "keys and clicks for windows under test"),
];

/// The packages of some groups, in the table's order.
pub fn of_groups(groups: &[Group]) -> impl Iterator<Item = &'static Package> {
    PACKAGES.iter().filter(|package| groups.contains(&package.group))
}

/// A GStreamer element, and the package it is in.
#[derive(Debug)]
pub struct Element {
    /// Its name.
    pub name: &'static str,
    /// The Debian package that has it.
    pub package: &'static str,
}

const fn element(name: &'static str, package: &'static str) -> Element {
    Element { name, package }
}

/// One or two telling elements of each GStreamer package.
///
/// A package can be there without one of its elements: distributions leave codecs out.
pub const ELEMENTS: &[Element] = &[
    element("appsink", "gstreamer1.0-plugins-base"),
    element("uridecodebin", "gstreamer1.0-plugins-base"),
    element("v4l2src", "gstreamer1.0-plugins-good"),
    element("pulsesink", "gstreamer1.0-plugins-good"),
    element("qtdemux", "gstreamer1.0-plugins-good"),
    element("mp4mux", "gstreamer1.0-plugins-good"),
    element("matroskamux", "gstreamer1.0-plugins-good"),
    element("opusenc", "gstreamer1.0-plugins-base"),
    element("opusdec", "gstreamer1.0-plugins-base"),
    element("aacparse", "gstreamer1.0-plugins-good"),
    element("voaacenc", "gstreamer1.0-plugins-bad"),
    element("h264parse", "gstreamer1.0-plugins-bad"),
    element("x265enc", "gstreamer1.0-plugins-bad"),
    element("av1enc", "gstreamer1.0-plugins-bad"),
    element("av1parse", "gstreamer1.0-plugins-bad"),
    element("av1dec", "gstreamer1.0-plugins-bad"),
    element("x264enc", "gstreamer1.0-plugins-ugly"),
    element("avdec_h264", "gstreamer1.0-libav"),
    element("avdec_aac", "gstreamer1.0-libav"),
];

/// The packages among `wanted` that `dpkg-query -W -f '${Package} ${db:Status-Status}\n'` does not call installed.
pub fn missing<'a>(wanted: impl Iterator<Item = &'a Package>, dpkg_output: &str) -> Vec<&'a Package> {
    let installed = |name: &str| dpkg_output.lines().any(|line| line.split_once(' ') == Some((name, "installed")));
    wanted.filter(|package| !installed(package.name)).collect()
}

/// Whether the text of `/etc/os-release` names Debian or one of its kin.
pub fn is_debian(os_release: &str) -> bool {
    let ids = os_release.lines().filter_map(|line| line.strip_prefix("ID=").or_else(|| line.strip_prefix("ID_LIKE=")));
    ids.flat_map(|ids| ids.trim_matches('"').split(' ')).any(|id| id == "debian")
}

/// The names of the adapters in the output of `vulkaninfo --summary`.
pub fn vulkan_adapters(output: &str) -> Vec<String> {
    let value =
        |line: &str| line.trim().strip_prefix("deviceName")?.trim_start().strip_prefix('=').map(|name| name.trim().to_owned());
    output.lines().filter_map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_table_is_sound() {
        let names: BTreeSet<_> = PACKAGES.iter().map(|package| package.name).collect();
        assert_eq!(names.len(), PACKAGES.len(), "a package is listed twice");
        for package in PACKAGES {
            // Debian policy 5.6.1: lower case letters, digits, plus, minus, dot; it starts with a letter or digit.
            assert!(package.name.chars().all(|char| char.is_ascii_lowercase() || char.is_ascii_digit() || "+-.".contains(char)));
            assert!(!package.why.is_empty());
        }
        for element in ELEMENTS {
            assert!(names.contains(element.package), "{} comes from an unlisted package", element.name);
        }
    }

    #[test]
    fn the_demo_needs_less_than_the_tests() {
        let (demo, all) = (of_groups(Group::DEMO).count(), of_groups(Group::ALL).count());
        assert!(demo < all && all == PACKAGES.len());
    }

    #[test]
    fn only_installed_packages_are_not_missing() {
        let wanted = [package(Group::Build, "gcc", "c"), package(Group::Build, "gcc-12", "c"), package(Group::Test, "xvfb", "x")];
        let names = |output: &str| missing(wanted.iter(), output).iter().map(|package| package.name).collect::<Vec<_>>();
        assert_eq!(names("gcc installed\nxvfb config-files\n"), ["gcc-12", "xvfb"]);
        assert_eq!(names("gcc-12 installed\ngcc installed\nxvfb installed\n"), [""; 0]);
        assert_eq!(names(""), ["gcc", "gcc-12", "xvfb"]);
    }

    #[test]
    fn debian_and_its_kin_are_known() {
        assert!(is_debian("PRETTY_NAME=\"Debian GNU/Linux 12\"\nID=debian\n"));
        assert!(is_debian("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"));
        assert!(!is_debian("ID=fedora\nHOME_URL=\"https://not.debian/\"\n"));
        assert!(!is_debian(""));
    }

    #[test]
    fn adapters_are_read() {
        let output = "Devices:\n========\nGPU0:\n\tdeviceType         = PHYSICAL_DEVICE_TYPE_CPU\n\tdeviceName         = llvmpipe (LLVM 15.0.6, 256 bits)\n";
        assert_eq!(vulkan_adapters(output), ["llvmpipe (LLVM 15.0.6, 256 bits)"]);
        assert!(vulkan_adapters("ERROR: no driver").is_empty());
    }
}
