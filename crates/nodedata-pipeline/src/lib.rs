//! From a source to a dataset: plan, then run. Threads live here; format crates spawn none.

mod convert;
mod detect;
mod drive;
mod empty;
mod episode_tables;
mod execute;
mod explain_step;
mod file;
mod group;
mod init;
mod inputs;
mod inspect;
mod journal;
mod kept;
mod known;
mod learned;
mod made_videos;
mod message_paths;
mod misfits;
mod open;
mod outline;
mod plan;
mod quality;
mod rebuild;
mod recipe;
mod run;
mod scan;
mod splits;
mod steps;
mod time_range;
mod trial;
mod window;

pub use convert::{ConvertOptions, Converted, OnError, convert};
pub use execute::{Executed, Prepared, Refused, execute, load, prepare, prepared};
pub use explain_step::{MadeField, MadeOf, MadeStep, StepAsked, explain_step};
pub use file::{
    Environment, EpisodesStage, Expected, Parsed, PipelineFile, PipelineTest, PublishStage, Secret,
    SourceStage, SplitKey, TableAsked, TableOf, is_pipeline, parse_pipeline, pipeline_json_schema,
};
pub use init::propose;
pub use inspect::{Depth, EpisodeLengths, Inspection, Looked, LookedAt, StreamInspection, inspect};
pub use kept::KeepRows;
pub use known::{Known, known_only};
pub use learned::Learned;
pub use message_paths::read_message_paths;
pub use open::{OpenedSource, open_source};
pub use outline::{Outline, OutlinedFeature, OutlinedStream, outline};
pub use plan::{Plan, PlannedInput, PlannedUnit, Share, Worked, finish, plan, plan_prepared, work};
pub use quality::check_quality;
pub use rebuild::{Rebuilt, Remake, no_recipe, rebuild};
pub use recipe::{Recipe, RecipeVersion, RowRecipe, ShardRecipe};
pub use scan::{check_schema, infer_schema};
pub use splits::{SplitPlan, parse_splits};
pub use steps::StepFlags;
pub use trial::{Trial, try_out};

#[cfg(test)]
mod tests;
