//! End-to-end tests of the `node-data` binary; see `it/`.
