use nodedata_core::Result;
use nodedata_dataset::{Validation, validate};

use crate::{
    Outcome,
    args::{Output, ValidateArgs},
    commands::audit,
    human, message,
};

/// `node-data validate`.
pub(crate) fn run(args: &ValidateArgs, output: Output) -> Result<Outcome> {
    if args.dataset.is_dir() && !args.dataset.join("manifest.json").is_file() {
        return audit::run(&args.dataset, output);
    }
    let found = validate(&args.dataset, args.deep)?;
    let text = match output {
        Output::Json => message::json_line(&found)?,
        Output::Text => told(&found),
    };
    message::to_stdout(&text)?;
    Ok(if found.is_sound() { Outcome::Complete } else { Outcome::Refused })
}

fn told(found: &Validation) -> String {
    let mut text = String::new();
    for finding in &found.findings {
        text.push_str(&format!("{}: {}\n  --> {}\n", finding.code, finding.message, finding.at));
        if !finding.hint.is_empty() {
            text.push_str(&format!("hint: {}\n", finding.hint));
        }
    }
    let looked_at = format!(
        "{} ({}), {}",
        human::plural(found.files, "file"),
        human::bytes(found.bytes),
        human::plural(found.rows, "row"),
    );
    let depth = if found.deep {
        format!(", every row read, {} decoded", human::plural(found.frames, "frame"))
    } else {
        String::new()
    };
    let verdict = match found.findings.len() as u64 {
        0 => "sound".to_owned(),
        n => format!("{} found", human::plural(n, "problem")),
    };
    text.push_str(&format!("{verdict}: {looked_at}{depth}\n"));
    text
}
