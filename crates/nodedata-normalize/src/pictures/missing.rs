use arrow_array::Array;
use nodedata_core::{Error, ErrorKind, Fate, Finding, Locus, Result};

use crate::{
    Beyond,
    absent::Missing,
    align::Choice,
    fates::NO_KEY_FRAME,
    mapping::Field,
    piece::{PieceReader, counted_id, is_beyond},
};

impl PieceReader<'_> {
    /// Decides what becomes of the steps whose message has no picture.
    pub(crate) fn judge_pictures(
        &self,
        field: &Field,
        array: &dyn Array,
        own: &[i64],
        choices: &[Option<Choice>],
        missing: &mut Missing,
    ) -> Result<()> {
        let lacks = |it: &usize| array.is_null(*it) && !is_beyond(field, choices, *it);
        for step in (0..own.len()).filter(lacks).filter(|_| field.beyond != Beyond::Null) {
            if missing.is_left_out(step) {
                continue;
            }
            if field.beyond == Beyond::Fail {
                let name = &field.feature.name;
                let message = format!(
                    "field `{name}`: no key frame is before the message of the step at {} ns",
                    own[step]
                );
                return Err(Error::new(ErrorKind::Corrupt, message)
                    .at(self.locus(field, step))
                    .with_hint("`beyond: null` or `beyond: drop` lets the run go on"));
            }
            missing.leave_out(step, NO_KEY_FRAME);
        }
        Ok(())
    }

    /// Tells of messages of video that nothing can be decoded of.
    pub(crate) fn unpictured(&self, fates: &[Fate]) -> Vec<Finding> {
        let told = fates.iter().filter_map(|fate| {
            let n = fate.dropped.get(NO_KEY_FRAME)?;
            let stream = self.store.mapping.streams.iter().find(|it| counted_id(it.id) == fate.stream)?;
            let path = self.store.source.plan().input_path(self.partition.reads[0].input);
            let at = Locus { path, ..Locus::topic(&*stream.name) };
            let messages = if *n == 1 { "message of video comes" } else { "messages of video come" };
            let message =
                format!("{n} {messages} before the first key frame, so that nothing can be decoded of them");
            let hint = "steps that take them have no picture; `beyond: drop` of the field leaves these out";
            Some(Finding { reason: NO_KEY_FRAME.to_owned(), ..Finding::warning(message, at) }.with_hint(hint))
        });
        told.collect()
    }
}
