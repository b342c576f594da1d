use std::path::Path;

use nodedata_client::Access;
use nodedata_core::{Error, ErrorKind, Locus, Result};
use nodedata_io::{Writing, io_error, write_file};
use nodedata_registry::{
    gate::{audit_csv, goes_through, verify_audit},
    trust::{AuditStatement, SignedAuditHead},
};

use crate::{
    Outcome,
    args::Output,
    commands::{audit_log_args::AuditCommand, login_args::ServerArgs, trust::public_key},
    documents::{self, AuditExport, AuditHeadTold, AuditVerified},
    human, message,
};

/// `node-data audit`.
pub(crate) fn run(command: AuditCommand, output: Output) -> Result<Outcome> {
    match command {
        AuditCommand::Export { csv, out, server } => export(csv, out.as_deref(), &server, output),
        AuditCommand::Head { out, server } => head(out.as_deref(), &server, output),
        AuditCommand::Verify { log, head, key, server } => {
            let text = match &log {
                Some(path) => read(path)?,
                None => Access::from(&server).server()?.audit(0)?,
            };
            verify(&text, &head, key.as_deref(), output)
        }
    }
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|err| io_error("cannot read the file", path, err))
}

fn export(csv: bool, out: Option<&Path>, server: &ServerArgs, output: Output) -> Result<Outcome> {
    let lines = Access::from(server).server()?.audit(0)?;
    let head = verify_audit(&lines)?;
    let text = if csv { audit_csv(&lines)? } else { lines };
    if let Some(out) = out {
        write_file(out, text.as_bytes(), Writing::New)?;
    }
    let told = match (output, out) {
        (Output::Json, _) => documents::line(&AuditExport {
            format: if csv { "csv" } else { "jsonl" },
            lines: head.next_seq,
            out,
            text: out.is_none().then_some(text.as_str()),
        })?,
        (Output::Text, None) => {
            message::data_to_stdout(&text)?;
            return Ok(Outcome::Complete);
        }
        (Output::Text, Some(out)) => {
            format!("{} in {}\n", human::plural(head.next_seq, "line"), out.display())
        }
    };
    message::to_stdout(&told)?;
    Ok(Outcome::Complete)
}

fn head(out: Option<&Path>, server: &ServerArgs, output: Output) -> Result<Outcome> {
    let signed = Access::from(server).server()?.audit_head()?;
    let AuditStatement { server, at, head, .. } = signed.verify(None)?;
    let text = String::from_utf8_lossy(&signed.to_bytes()?).into_owned();
    if let Some(out) = out {
        write_file(out, format!("{text}\n").as_bytes(), Writing::New)?;
    }
    let told = match (output, out) {
        (Output::Json, _) => documents::line(&AuditHeadTold {
            server,
            at,
            lines: head.next_seq,
            last: head.last,
            out,
            signed: &text,
        })?,
        (Output::Text, None) => format!("{text}\n"),
        (Output::Text, Some(out)) => {
            format!("{} at {at}, signed, in {}\n", human::plural(head.next_seq, "line"), out.display())
        }
    };
    message::to_stdout(&told)?;
    Ok(Outcome::Complete)
}

fn verify(text: &str, heads: &[std::path::PathBuf], key: Option<&Path>, output: Output) -> Result<Outcome> {
    let end = verify_audit(text)?;
    let key = key.map(public_key).transpose()?;
    let mut through = Vec::new();
    for path in heads {
        let at = |err: Error| err.at(Locus::path(path));
        let signed = SignedAuditHead::parse(read(path)?.as_bytes()).map_err(at)?;
        let kept = signed.verify(key.as_ref()).map_err(at)?;
        if !goes_through(text, &kept.head)? {
            let n_lines = human::plural(kept.head.next_seq, "line");
            let message = format!(
                "the log had {n_lines} at {}, and this one, of {}, is not what became of it: it was cut, or written anew",
                kept.at, end.next_seq
            );
            return Err(at(Error::new(ErrorKind::Corrupt, message)).with_hint(
                "a line `restore` tells of a backup that was put in; otherwise compare with a copy",
            ));
        }
        through.push(kept);
    }
    let told = match output {
        Output::Json => documents::line(&AuditVerified {
            lines: end.next_seq,
            last: end.last,
            heads: through.len() as u64,
            signed_by: key.map(|it| it.id()),
        })?,
        Output::Text => {
            let mut told = format!("{} follow each other\n", human::plural(end.next_seq, "line"));
            for kept in &through {
                let by = if key.is_some() { "signed by the key" } else { "signed by a key of its own" };
                let n_lines = human::plural(kept.head.next_seq, "line");
                told.push_str(&format!("the head of {} with {n_lines} is in it, {by}\n", kept.at));
            }
            told
        }
    };
    message::to_stdout(&told)?;
    Ok(Outcome::Complete)
}
