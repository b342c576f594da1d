use std::{
    fs::OpenOptions,
    io::Read as _,
    path::{Path, PathBuf},
};

use nodedata_client::{Opening, Registry};
use nodedata_core::{Locus, Result, visible::visible};
use nodedata_io::{Writing, io_error, write_file};
use nodedata_pipeline::{Rebuilt, read_message_paths};
use nodedata_registry::{
    AttachmentKind, DatasetState, attach,
    trust::{
        ByteSample, KEY_TEXT_BYTES_MAX, PublicKey, RevisionStatement, SecretKey, Verification, VerifyOptions,
        sign_revision, verify_published,
    },
};

#[cfg(not(feature = "remote"))]
use crate::commands::absent::absent;
#[cfg(feature = "remote")]
use crate::commands::access;
use crate::{
    Outcome,
    args::Output,
    commands::{
        dataset_args::StoreArgs,
        rebuild,
        trust_args::{TrustCommand, VerifyArgs},
    },
    documents, human, message,
};

/// `node-data dataset keygen|sign|verify`, and what a gate asks for.
pub(crate) fn run(command: TrustCommand, output: Output) -> Result<Outcome> {
    match command {
        TrustCommand::Keygen { out } => keygen(&out, output),
        TrustCommand::Sign { reference, key, store } => sign(&reference, &key, &store, output),
        TrustCommand::Verify(args) => verify(&args, output),
        #[cfg(feature = "remote")]
        TrustCommand::Agreement { dataset, store } => access::agreement(&dataset, &store, output),
        #[cfg(feature = "remote")]
        TrustCommand::Attest(args) => access::attest(&args, output),
        #[cfg(feature = "remote")]
        TrustCommand::Attestations { dataset, store } => access::attestations(&dataset, &store, output),
        #[cfg(feature = "remote")]
        TrustCommand::Decide { dataset, id, answer, reason, store } => {
            access::decide(&dataset, &id, answer, reason.as_deref(), &store, output)
        }
        #[cfg(feature = "remote")]
        TrustCommand::Audit { store } => access::audit(&store, output),
        #[cfg(not(feature = "remote"))]
        TrustCommand::Agreement { .. }
        | TrustCommand::Attest(_)
        | TrustCommand::Attestations { .. }
        | TrustCommand::Decide { .. }
        | TrustCommand::Audit { .. } => Err(absent("what asks a server", "remote")),
    }
}

fn keygen(out: &Path, output: Output) -> Result<Outcome> {
    let key = SecretKey::generate()?;
    let public_path = with_suffix(out, ".pub");
    // Keys are never replaced.
    let write = |path: &Path, text: String, writing| {
        write_file(path, text.as_bytes(), writing)
            .map_err(|err| err.with_hint("name a file that is not there yet"))
    };
    write(out, key.to_pem()?, Writing::NewSecret)?;
    write(&public_path, key.public().to_pem()?, Writing::New)?;
    let id = key.public().id();
    match output {
        Output::Json => {
            let told = documents::KeyPair { keyid: id, secret: out, public: &public_path };
            message::to_stdout(&documents::line(&told)?)?;
        }
        Output::Text => {
            message::to_stdout(&format!("{id}\n"))?;
            let (secret, public) = (out.to_string_lossy(), public_path.to_string_lossy());
            let (secret, public) = (visible(&secret), visible(&public));
            message::note(&format!(
                "wrote {secret} (keep it secret) and {public} (hand it to whoever verifies)"
            ));
        }
    }
    Ok(Outcome::Complete)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn read_key(path: &Path) -> Result<String> {
    let failed = |err| io_error("cannot read the key", path, err);
    let mut text = String::new();
    let file = OpenOptions::new().read(true).open(path).map_err(failed)?;
    file.take(KEY_TEXT_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

/// The public key that a file holds.
pub(super) fn public_key(path: &Path) -> Result<PublicKey> {
    PublicKey::from_pem(&read_key(path)?).map_err(|err| err.at(Locus::path(path)))
}

fn sign(reference: &str, key: &Path, store: &StoreArgs, output: Output) -> Result<Outcome> {
    let key = SecretKey::from_pem(&read_key(key)?).map_err(|err| err.at(Locus::path(key)))?;
    let registry = Registry::open(store, Opening::Existing)?;
    let reference = registry.reference(reference)?;
    let state = DatasetState::open(&*registry.remote, &reference.dataset)?;
    let entry = reference.resolve(&state)?;
    let statement = RevisionStatement {
        dataset: reference.dataset.clone(),
        revision: entry.revision.clone(),
        manifest: entry.manifest,
    };
    let envelope = sign_revision(&statement, &key)?.to_bytes()?;
    let kind = AttachmentKind::Signature;
    let done = attach(&*registry.remote, &reference.dataset, &registry.author, kind, entry, envelope)?;
    let keyid = key.public().id();
    match output {
        Output::Json => message::to_stdout(&documents::line(&documents::Signed {
            dataset: &reference.dataset,
            revision: &entry.revision,
            manifest: entry.manifest,
            keyid,
            seq: done.seq,
        })?)?,
        Output::Text => {
            let text =
                format!("signed {}@{} ({}) by {keyid}\n", reference.dataset, entry.revision, entry.manifest);
            message::to_stdout(&text)?;
        }
    }
    Ok(Outcome::Complete)
}

fn verify(args: &VerifyArgs, output: Output) -> Result<Outcome> {
    let trusted = args.key.iter().map(|path| public_key(path)).collect::<Result<Vec<_>>>()?;
    let sample = match args.sample {
        None if args.quick => ByteSample::NONE,
        None => ByteSample::ALL,
        Some(share) => ByteSample::of(share, args.seed.unwrap_or(0))?,
    };
    let registry = Registry::open(&args.store, Opening::Existing)?;
    let reference = registry.reference(&args.reference)?;
    let state = DatasetState::open(&*registry.remote, &reference.dataset)?;
    let entry = reference.resolve(&state)?;
    let options = VerifyOptions { trusted: &trusted, sample };
    let found = verify_published(&registry.remote, &reference.dataset, entry, &options)?;
    let rebuilt = match args.source.as_slice() {
        [] => None,
        sources => {
            let messages = read_message_paths(&args.msg_path)?;
            Some(rebuild::of_revision(&registry.remote, &reference.dataset, entry, sources, &messages)?)
        }
    };
    let is_sound = found.is_sound() && rebuilt.as_ref().is_none_or(Rebuilt::is_same);
    match output {
        Output::Json => {
            let told =
                documents::Verified { sound: is_sound, verification: &found, rebuild: rebuilt.as_ref() };
            message::to_stdout(&documents::line(&told)?)?;
        }
        Output::Text => message::to_stdout(&told(&found, rebuilt.as_ref(), &sample))?,
    }
    Ok(if is_sound { Outcome::Complete } else { Outcome::Refused })
}

fn told(found: &Verification, rebuilt: Option<&Rebuilt>, sample: &ByteSample) -> String {
    let mut text = format!("{}@{}  {}\n", found.dataset, found.revision, found.manifest);
    let read = match (sample.is_none(), sample.is_all()) {
        (true, _) => "not read".to_owned(),
        (_, true) => format!("{} hashed", human::bytes(found.bytes)),
        _ => format!("{} of {} hashed", human::bytes(found.bytes), human::bytes(found.total_bytes)),
    };
    text.push_str(&format!("blobs       {} ({read})\n", human::count(found.blobs)));
    text.push_str(&format!("provenance  {} proved\n", human::plural(found.proved_shards, "shard")));
    if sample.is_all() {
        text.push_str(&format!("rows        {} hashed again\n", human::plural(found.episodes, "episode")));
    }
    let signed = match (found.signatures, found.signed_by.as_slice()) {
        (0, _) => "not signed".to_owned(),
        (n, []) => format!("{}, held against no key: name one with `--key`", human::plural(n, "signature")),
        (_, by) => format!("signed by {}", by.join(", ")),
    };
    text.push_str(&format!("signature   {signed}\n"));
    for it in &found.findings {
        text.push_str(&format!("wrong       {}: {} ({})\n", it.code, it.message, it.at));
    }
    if let Some(rebuilt) = rebuilt {
        text.push_str(&rebuild::told(rebuilt));
    }
    text
}
