//! Quality rules over rows while they pass, with stable codes; the pace of streams; reports as text, JUnit XML and HTML.

#[cfg(test)]
mod tests;

mod content;
mod episode;
mod frames;
mod html;
mod junit;
mod leaves;
mod nulls;
mod numbers;
mod pace;
mod plot;
mod report;
mod rule;
mod stream;
mod timeline;

pub use content::Contents;
pub use html::html;
pub use junit::junit;
pub use pace::{Offsets, Pace, stamp_column, time_column};
pub use report::{QualityFinding, QualityReport, Quarantined, RuleResult, StreamSummary, is_report};
pub use rule::{FeatureName, Level, RangeBounds, RateBounds, Rule, Rules};
pub use stream::StreamCheck;
pub use timeline::Timeline;
