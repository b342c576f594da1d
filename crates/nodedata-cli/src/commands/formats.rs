use nodedata_core::{Format, OptionKey, Result};
use nodedata_pipeline::known_only;

use crate::{
    Outcome,
    args::Output,
    documents::{self, FormatLine, FormatList, FormatOption, RefusedFormat},
    message,
};

/// `node-data formats`.
pub(crate) fn run(output: Output) -> Result<Outcome> {
    let formats = nodedata_formats::builtin();
    let text = match output {
        Output::Json => {
            let read = formats.iter().map(|it| FormatLine {
                name: it.name(),
                about: it.about(),
                options: options(it),
            });
            let refused = known_only(&formats).map(|it| RefusedFormat {
                name: it.name,
                about: it.what,
                instead: it.instead,
            });
            documents::line(&FormatList { formats: read.collect(), refused: refused.collect() })?
        }
        Output::Text => {
            let line = |name: &str, about: &str| format!("{name:<12} {about}\n");
            let read: String = formats
                .iter()
                .map(|it| {
                    let option = |it: &OptionKey| {
                        let OptionKey { name, kind, default, doc } = it;
                        // One that is empty by default is one that need not be given.
                        let by_default = if default.is_empty() { "none" } else { default };
                        format!("{:<12} --set source.{name}=…  {doc}: {kind}; {by_default} by default\n", "")
                    };
                    line(it.name(), it.about()) + &it.options().iter().map(option).collect::<String>()
                })
                .collect();
            let refused: String = known_only(&formats).map(|it| line(it.name, it.what)).collect();
            format!("{read}\nrecognised, and refused with what to do instead:\n{refused}")
        }
    };
    message::to_stdout(&text)?;
    Ok(Outcome::Complete)
}

/// The options of one format.
fn options(format: &dyn Format) -> Vec<FormatOption> {
    let option = |it: &OptionKey| {
        let OptionKey { name, kind, default, doc } = it;
        FormatOption { name, takes: kind.to_string(), default, about: doc }
    };
    format.options().iter().map(option).collect()
}
