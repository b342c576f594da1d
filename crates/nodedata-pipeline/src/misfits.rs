use std::collections::BTreeSet;

use nodedata_core::{
    Error, ErrorKind, Formats, OnMisfit, OpenOptions, Progress, ReadOptions, Result, Source, StreamId,
};
use rayon::prelude::*;

use crate::open::open_source;

/// Does a job that opens a source and reads it. Whether each record fits the columns of its stream, only reading tells; when
/// the job meets one that does not, all records are looked at, and it is done once more with a source whose streams have
/// columns for those. Which streams have such columns follows from the source alone, not from which record was met first; and
/// who has no such record reads nothing twice.
///
/// # Errors
/// As `job`; `Interrupted` when `progress` says to stop while all records are looked at.
pub(crate) fn holding_misfits<T, E: From<Error> + AsError>(
    (formats, sources, from): (&Formats, &[String], Option<&str>),
    open: &OpenOptions,
    progress: &dyn Progress,
    job: impl Fn(OpenOptions) -> Result<T, E>,
) -> Result<T, E> {
    let err = match job(open.clone()) {
        Err(err) if open.on_misfit == OnMisfit::Keep && err.is_misfit() => err,
        done => return done,
    };
    tracing::info!("a record does not fit the columns of its stream: looking at all of them");
    let opened = open_source(formats, sources, from, open)?;
    let streams = misfit_streams(opened.source.as_ref(), progress)?;
    match opened.source.learn_misfits(&streams).filter(|_| !streams.is_empty()) {
        Some(learned) => job(OpenOptions { learned: Some(learned), ..open.clone() }),
        None => Err(err),
    }
}

/// What a job fails with.
pub(crate) trait AsError {
    fn is_misfit(&self) -> bool;
}

impl AsError for Error {
    fn is_misfit(&self) -> bool {
        self.kind() == ErrorKind::Misfit
    }
}

/// The streams with records that do not fit their columns.
fn misfit_streams(source: &dyn Source, progress: &dyn Progress) -> Result<BTreeSet<StreamId>> {
    let of_partition = |partition: usize| -> Result<BTreeSet<StreamId>> {
        let mut streams = BTreeSet::new();
        let mut reading = source.read(partition, &ReadOptions::default())?;
        loop {
            progress.go_on()?;
            match reading.next_batch() {
                Ok(Some(_)) => {}
                Ok(None) => return Ok(streams),
                Err(err) => match err.loss() {
                    Some(loss) if err.kind() == ErrorKind::Misfit => {
                        streams.extend(loss.records.iter().map(|it| it.0));
                    }
                    // The job meets it again, and decides.
                    Some(_) => {}
                    None => return Err(err),
                },
            }
        }
    };
    let partitions = (0..source.plan().partitions.len()).into_par_iter().with_max_len(1);
    let found: Vec<Result<BTreeSet<StreamId>>> = partitions.map(of_partition).collect();
    let mut all = BTreeSet::new();
    for streams in found {
        all.append(&mut streams?);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use nodedata_core::{Batch, EpisodeStream, Numbering, Partition, SourcePlan};

    use super::*;

    /// Batches without end.
    struct Endless(SourcePlan);

    impl Source for Endless {
        fn plan(&self) -> &SourcePlan {
            &self.0
        }

        fn read(&self, _: usize, _: &ReadOptions) -> Result<Box<dyn EpisodeStream>> {
            Ok(Box::new(Reading))
        }
    }

    struct Reading;

    impl EpisodeStream for Reading {
        fn next_batch(&mut self) -> Result<Option<Batch>> {
            panic!("a run that is stopped reads on")
        }

        fn records_read(&self) -> &[(StreamId, u64)] {
            &[]
        }
    }

    struct Stopped;

    impl Progress for Stopped {
        fn is_stopped(&self) -> bool {
            true
        }
    }

    #[test]
    fn the_look_at_all_records_can_be_stopped() {
        let partition = Partition {
            episode: 0,
            reads: Vec::new(),
            decoded_bytes: 0,
            times: None,
            counts: None,
            recipe: String::new(),
            numbering: Numbering::Own,
        };
        let source = Endless(SourcePlan { partitions: vec![partition], ..SourcePlan::default() });
        assert_eq!(misfit_streams(&source, &Stopped).unwrap_err().kind(), ErrorKind::Interrupted);
    }
}
