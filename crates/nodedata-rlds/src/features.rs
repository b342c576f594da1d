//! What `features.json` says: one tree, whatever form it is written in, and the leaves of it that have values in a
//! record.

mod labels;
mod leaf;
mod legacy;
mod modern;
mod proto_json;
mod tree;

pub(crate) use labels::with_labels;
pub(crate) use leaf::{Coding, FACTS_MAX, Leaf, PerStep, leaves};
pub(crate) use tree::FeatureTree;
