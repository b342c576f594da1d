//! From a source to a dataset: plan, then run. Threads live here; format crates spawn none.

mod convert;
mod damage;
mod drive;
mod inputs;
mod journal;
mod open;
mod plan;
mod progress;
mod run;
mod scan;
mod splits;
mod window;

pub use convert::{ConvertOptions, Converted, OnError, convert};
pub use damage::entry_of;
pub use open::{OpenedSource, open_source};
pub use plan::{Plan, PlannedInput, PlannedUnit, Share, Worked, finish, plan, work};
pub use progress::{Progress, Silent};
pub use scan::{Inspection, StreamInspection, check_schema, infer_schema, inspect};
pub use splits::{SplitPlan, parse_splits};
