//! How much a stage may take.

use std::time::Duration;

/// How much a stage may take before opening it is refused. The defaults are above what film productions publish; what comes from people
/// one does not know deserves less, see [`Budget::untrusted`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Bytes of one layer or package, as stored. 2 GiB.
    pub layer_bytes: u64,
    /// Bytes of all layers together, as stored. 16 GiB.
    pub total_bytes: u64,
    /// Bytes that what is compressed in one binary layer may come to. 4 GiB.
    pub decompressed_bytes: u64,
    /// Layers. 20 000.
    pub layers: usize,
    /// Prims, first of each layer and then of the composed stage, without the insides of instances. 4 million.
    pub prims: usize,
    /// Prims above a prim. 256.
    pub namespace_depth: usize,
    /// Places that may give one prim opinions: references of references and so on. 20 000.
    pub arcs_per_prim: usize,
    /// References of references of references. 128.
    pub arc_depth: usize,
    /// Brackets within brackets of a text layer, and dictionaries within dictionaries of a binary one. 512.
    pub nesting: usize,
    /// Elements of an array. 512 million.
    pub array_elements: u64,
    /// Files in a package. 65 535.
    pub package_entries: usize,
    /// Packages within packages. 4.
    pub package_depth: usize,
    /// Time to open and compose. 120 s.
    pub open_time: Duration,
    /// Stack of the thread that composes; taken only as far as it is used. 256 MiB.
    pub stack_bytes: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            layer_bytes: 2 << 30,
            total_bytes: 16 << 30,
            decompressed_bytes: 4 << 30,
            layers: 20_000,
            prims: 4_000_000,
            namespace_depth: 256,
            arcs_per_prim: 20_000,
            arc_depth: 128,
            nesting: 512,
            array_elements: 512 << 20,
            package_entries: 65_535,
            package_depth: 4,
            open_time: Duration::from_secs(120),
            stack_bytes: 256 << 20,
        }
    }
}

impl Budget {
    /// For files from people one does not know: 256 MiB in all, 200 000 prims, 20 s.
    pub fn untrusted() -> Self {
        Self {
            layer_bytes: 128 << 20,
            total_bytes: 256 << 20,
            decompressed_bytes: 256 << 20,
            layers: 1_000,
            prims: 200_000,
            namespace_depth: 128,
            arcs_per_prim: 2_000,
            arc_depth: 32,
            nesting: 128,
            array_elements: 32 << 20,
            package_entries: 4_096,
            package_depth: 2,
            open_time: Duration::from_secs(20),
            stack_bytes: 128 << 20,
        }
    }
}
