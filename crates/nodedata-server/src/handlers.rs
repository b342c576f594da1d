pub(crate) mod blobs;
pub(crate) mod commits;
pub(crate) mod gate;
pub(crate) mod lists;
pub(crate) mod operation;
pub(crate) mod pushes;
pub(crate) mod revisions;
pub(crate) mod roles;
