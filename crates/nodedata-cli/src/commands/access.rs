use nodedata_client::Access;
use nodedata_core::{Error, ErrorKind, Result, visible::visible};
use nodedata_registry::{
    B3, Reference, Selector,
    gate::{Attestation, Purpose, Subject, verify_audit},
    http::AttestBody,
};

use crate::{
    Outcome,
    args::Output,
    commands::{
        dataset_args::StoreArgs,
        trust_args::{Answer, AttestArgs},
    },
    documents, message,
};

pub(crate) fn agreement(dataset: &str, store: &StoreArgs, output: Output) -> Result<Outcome> {
    let access = Access::from(store);
    let reference = access.reference(dataset)?;
    let text = match dataset.contains('@') {
        true => access.server()?.agreement_of(&reference.dataset, &selected(&reference))?,
        false => access.server()?.agreement(&reference.dataset)?,
    };
    let digest = B3::of(text.as_bytes());
    match output {
        Output::Json => {
            message::to_stdout(&documents::line(&documents::Agreement { policy: digest, text: &text })?)?;
        }
        Output::Text => {
            message::to_stdout(&format!("{}\n", text.trim_end()))?;
            message::note(&format!(
                "to agree: node-data dataset attest {dataset} --agree {digest} --name … --purpose …"
            ));
        }
    }
    Ok(Outcome::Complete)
}

pub(crate) fn attest(args: &AttestArgs, output: Output) -> Result<Outcome> {
    let policy: B3 = args.agree.parse().map_err(|err: Error| {
        Error::new(ErrorKind::Config, err.to_string())
            .with_hint("`node-data dataset agreement` prints the text and its digest")
    })?;
    let access = Access::from(&args.store);
    let reference = access.reference(&args.reference)?;
    let body = AttestBody {
        policy,
        revision: args.reference.contains('@').then(|| selected(&reference)),
        subject: Subject {
            user: String::new(),
            name: args.name.clone(),
            org: args.org.clone(),
            country: args.country.clone(),
        },
        purpose: Purpose { duo: args.duo.clone(), text: args.purpose.clone() },
        affirm: args.affirm.clone(),
    };
    let attestation = access.server()?.attest(&reference.dataset, &body)?;
    tell(&[attestation], output)
}

/// What stands behind the `@`.
fn selected(reference: &Reference) -> String {
    match &reference.selector {
        Selector::Tag(tag) => tag.clone(),
        Selector::Version(version) => version.to_string(),
        Selector::Range(range) => range.to_string(),
        Selector::Manifest(b3) => b3.to_string(),
        Selector::Seq(seq) => format!("seq:{seq}"),
    }
}

pub(crate) fn attestations(dataset: &str, store: &StoreArgs, output: Output) -> Result<Outcome> {
    let access = Access::from(store);
    tell(&access.server()?.attestations(&access.reference(dataset)?.dataset)?, output)
}

pub(crate) fn decide(
    dataset: &str,
    id: &str,
    answer: Answer,
    reason: Option<&str>,
    store: &StoreArgs,
    output: Output,
) -> Result<Outcome> {
    let action = match answer {
        Answer::Grant => "grant",
        Answer::Deny => "deny",
        Answer::Revoke => "revoke",
        Answer::Reset => "reset",
    };
    let access = Access::from(store);
    let changed = access.server()?.decide(&access.reference(dataset)?.dataset, id, action, reason)?;
    tell(&[changed], output)
}

fn tell(attestations: &[Attestation], output: Output) -> Result<Outcome> {
    let text = match output {
        Output::Json => documents::line(&documents::Attestations { attestations })?,
        Output::Text => attestations.iter().map(told).collect(),
    };
    message::to_stdout(&text)?;
    Ok(Outcome::Complete)
}

fn told(it: &Attestation) -> String {
    let org = it.subject.org.as_ref().map(|it| format!(", {}", visible(it))).unwrap_or_default();
    let until = it.expires.as_ref().map(|it| format!(" until {it}")).unwrap_or_default();
    let mut text = format!("{}  {} {}{until}\n", it.id, it.dataset, it.revisions);
    text.push_str(&format!(
        "  {} ({}{org}): {}\n",
        it.subject.user,
        visible(&it.subject.name),
        visible(&it.purpose.text)
    ));
    for step in &it.history {
        let by = step.by.as_ref().map(|it| format!(" by {}", visible(it))).unwrap_or_default();
        let reason = step.reason.as_ref().map(|it| format!(": {}", visible(it))).unwrap_or_default();
        text.push_str(&format!("  {} {}{by}{reason}\n", step.at, format!("{:?}", step.to).to_lowercase()));
    }
    text
}

/// Prints the log, for people as it is, and refuses one whose chain does not hold.
pub(crate) fn audit(store: &StoreArgs, output: Output) -> Result<Outcome> {
    let text = Access::from(store).server()?.audit(0)?;
    match output {
        Output::Json => {
            let head = verify_audit(&text)?;
            let lines = text.lines().map(serde_json::from_str).collect::<std::result::Result<_, _>>();
            let lines = lines.map_err(std::io::Error::from)?;
            message::to_stdout(&documents::line(&documents::AuditLog { head, lines })?)?;
        }
        Output::Text => {
            message::to_stdout(&text)?;
            let head = verify_audit(&text)?;
            let last = head.last.map_or_else(String::new, |it| format!(", the last is {it}"));
            message::note(&format!("{} lines follow each other{last}", head.next_seq));
        }
    }
    Ok(Outcome::Complete)
}
