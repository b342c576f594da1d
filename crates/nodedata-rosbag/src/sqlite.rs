//! SQLite databases read page by page, without SQLite: addresses of every message, reads by range, nothing written beside the
//! file, and every page for itself when others are damaged.

pub(crate) mod cell;
pub(crate) mod database;
pub(crate) mod ddl;
pub(crate) mod header;
pub(crate) mod journal;
pub(crate) mod overlay;
pub(crate) mod page;
pub(crate) mod record;
pub(crate) mod salvage;
pub(crate) mod schema;
pub(crate) mod wal;
pub(crate) mod walk;
