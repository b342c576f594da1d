//! The native half of the Python package `nodedata`: functions and types of the crates, as Python calls them. What needs Python alone,
//! such as mappings, pickling and torch, is in the package.

mod arguments;
mod arrays;
mod arrow_episodes;
mod build_info;
mod connection;
mod convert;
mod dataset_facts;
mod errors;
mod fields;
mod json;
mod open_options;
mod opened;
mod planned;
mod reader;
mod registry;
mod source_options;
mod stream;
mod stream_of_processes;
mod stream_options;
mod watched;

/// Private: `nodedata` hands on what is meant for others.
#[pyo3::pymodule(gil_used = false)]
mod _native {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::{
        arrow_episodes::ArrowEpisodes,
        build_info::{build_info, libavcodec_version},
        convert::{convert, inspect, run, validate},
        planned::{finish, plan, work},
        reader::{Reader, Split, open_folder},
        registry::{Registry, open_registry},
        stream::Stream,
    };

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        crate::errors::add_to(module)
    }
}
