//! Datasets in the words of other tools.
