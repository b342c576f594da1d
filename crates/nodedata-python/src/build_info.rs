//! What this build of the package can do.

use pyo3::{prelude::*, types::PyDict};

use crate::errors::OrRaise;

/// The features that a build may have, and whether this one has them.
const FEATURES: [(&str, bool); 3] = [
    ("av1-asm", cfg!(feature = "av1-asm")),
    ("remote", cfg!(feature = "remote")),
    ("video-decode", cfg!(feature = "video-decode")),
];

/// The version of the libavcodec that was found, or is named; none where there is none. It is loaded for this, and therefore asked
/// for apart from what the package needs to know of itself when it is imported.
#[pyfunction]
pub(crate) fn libavcodec_version(py: Python<'_>) -> PyResult<Option<String>> {
    nodedata_reader::libavcodec_version().or_raise(py)
}

/// Version, features, and how AV1 is decoded: with hand-written assembly it takes a quarter of the time.
#[pyfunction]
pub(crate) fn build_info(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let told = PyDict::new(py);
    told.set_item("version", env!("CARGO_PKG_VERSION"))?;
    told.set_item("abi", "abi3-py311")?;
    told.set_item("target", format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS))?;
    told.set_item("optimised", !cfg!(debug_assertions))?;
    let has = FEATURES.into_iter().filter(|(_, has)| *has).map(|(name, _)| name);
    told.set_item("features", has.collect::<Vec<_>>())?;
    told.set_item("av1_decoder", cfg!(feature = "video-decode").then_some("rav1d"))?;
    told.set_item("av1_asm", cfg!(feature = "av1-asm"))?;
    Ok(told)
}
