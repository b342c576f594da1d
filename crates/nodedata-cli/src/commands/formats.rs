use nodedata_core::Result;
use serde_json::json;

use crate::{Outcome, args::Output, message};

/// `node-data formats`.
pub(crate) fn run(output: Output) -> Result<Outcome> {
    let formats = nodedata_formats::builtin();
    let text = match output {
        Output::Json => {
            let all: Vec<_> =
                formats.iter().map(|it| json!({"name": it.name(), "about": it.about()})).collect();
            format!("{}\n", json!({ "formats": all }))
        }
        Output::Text => formats.iter().map(|it| format!("{:<12} {}\n", it.name(), it.about())).collect(),
    };
    message::to_stdout(&text)?;
    Ok(Outcome::Complete)
}
