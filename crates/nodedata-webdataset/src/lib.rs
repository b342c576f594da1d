//! Samples in tar files.
