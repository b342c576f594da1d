use arrow_array::{Array, cast::AsArray};
use nodedata_core::{
    DType, EpisodeStream, Fate, Feature, ReadOptions, Result, Source, SourcePlan, Storage, placed::Mistake,
    suggest,
};

use super::{
    PADDING,
    neighbours::{Edges, Neighbours, Pulled},
    rows::{STEPS, kept},
    stacked::in_parts,
};

/// Steps without the last one of each episode that says of itself that it is the last.
pub(super) struct DroppedSource {
    neighbours: Neighbours,
    plan: SourcePlan,
    /// The bool that says so.
    column: usize,
}

/// Why the last step cannot be told by `field`.
pub(super) fn mistake(field: &str, features: &[Feature], idx: usize) -> Option<Mistake> {
    let key = format!("steps.transform[{idx}]");
    let Some(feature) = features.iter().find(|it| it.name == field) else {
        let message = format!("`{PADDING}`: the steps have no `{field}`");
        let flags = features.iter().filter(|it| is_flag(it)).map(|it| it.name.as_str());
        let hint = format!("`field` names the bool that is true at the last step: {}", suggest(field, flags));
        return Some(Mistake::new(key, message).with_hint(hint));
    };
    if is_flag(feature) {
        return None;
    }
    let message = format!("`{PADDING}` takes a bool, but `{field}` is {}", feature.told());
    Some(Mistake::new(key, message).with_hint("`field` names the bool that is true at the last step"))
}

fn is_flag(feature: &Feature) -> bool {
    feature.dtype == DType::Bool && feature.shape.is_empty() && feature.storage == Storage::Plain
}

impl DroppedSource {
    /// `field` was found sound by [`mistake`].
    pub(super) fn new(inner: Box<dyn Source>, makes_steps: Vec<bool>, field: &str) -> Self {
        let mut plan = inner.plan().clone();
        let column = plan.streams.first().and_then(|it| it.column(field));
        let column = column.expect("the field was looked up before");
        in_parts(&mut plan, &makes_steps, PADDING);
        // Only whether there is a row.
        let edges = Edges { columns: vec![column], n_after: 1, n_before: 0 };
        Self { neighbours: Neighbours::new(inner, makes_steps, edges), plan, column }
    }

    /// Leaves out the last row of a part where it is that of the episode, and says so.
    fn drop_last(&self, pulled: &mut Pulled, partition: usize, options: &ReadOptions) -> Result<()> {
        let is_steps = |it: &Result<nodedata_core::Batch>| it.as_ref().is_ok_and(|it| it.stream == STEPS);
        let Some(idx) = pulled.results.iter().rposition(is_steps) else { return Ok(()) };
        let Some(Ok(batch)) = pulled.results.get(idx) else { return Ok(()) };
        let n_rows = batch.rows.num_rows();
        let flags = batch.rows.column(self.column).as_boolean();
        let Some(last) = n_rows.checked_sub(1).filter(|it| flags.is_valid(*it) && flags.value(*it)) else {
            return Ok(());
        };
        let after = self.neighbours.after(partition, options)?;
        pulled.looked_at.extend(after.looked_at);
        if after.n_rows != 0 {
            return Ok(());
        }
        let features = &self.plan.streams[0].features;
        let left = kept(batch, 0..last, features);
        if last == 0 {
            pulled.results.remove(idx);
        } else {
            pulled.results[idx] = Ok(left);
        }
        let mut fate = Fate::new(STEPS);
        fate.dropped.insert(PADDING, 1);
        pulled.fates.push(fate);
        Ok(())
    }
}

impl Source for DroppedSource {
    fn plan(&self) -> &SourcePlan {
        &self.plan
    }

    fn read(&self, partition: usize, options: &ReadOptions) -> Result<Box<dyn EpisodeStream>> {
        let mut pulled = self.neighbours.own(partition, options)?;
        self.drop_last(&mut pulled, partition, options)?;
        Ok(Box::new(pulled))
    }
}
