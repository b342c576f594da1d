use std::sync::Arc;

use nodedata_core::{Error, ErrorKind, Layout, Level, Locus, OpenOptions, Result};
use nodedata_steps::{check_names, check_undecoded, select, step_index};

use crate::{decode::Target, features::Leaf};

/// Where the values of a column come from.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    /// The position of the row in its episode.
    StepIndex,
    /// A leaf, by its position.
    Leaf(usize),
    /// A leaf of the whole episode, by its position, that is no column and may be attached.
    Attached(usize),
    /// A feature that is not supported, and why.
    Unsupported(String),
}

/// A column of the step table.
pub(crate) type Column = nodedata_steps::Column<Origin>;

/// The columns that are read, and the names of features that were not selected. A feature that is not supported must be
/// one of the latter, also where it is of the whole episode. What of that is not selected, and may be attached, is not looked at.
///
/// # Errors
/// `Config` when options name a feature that is not there; `Unsupported`.
pub(crate) fn columns(leaves: &mut [Leaf], options: &OpenOptions) -> Result<(Vec<Column>, Vec<String>)> {
    let mut all = vec![Column { feature: step_index(), origin: Origin::StepIndex }];
    for (idx, leaf) in leaves.iter().enumerate() {
        let origin = match &leaf.unsupported {
            Some(why) => Origin::Unsupported(why.clone()),
            None if leaf.is_step => Origin::Leaf(idx),
            None if leaf.may_be_attached() => Origin::Attached(idx),
            None => continue,
        };
        all.push(Column { feature: leaf.feature.clone(), origin });
    }
    check_names(&all, &[], options)?;
    check_undecoded(&[], options)?;
    let (kept, left_out) = select(all, options, |column| match column.origin {
        Origin::StepIndex => None,
        Origin::Leaf(_) | Origin::Attached(_) | Origin::Unsupported(_) => Some(column.feature.name.clone()),
    });
    for column in &kept {
        if let Origin::Unsupported(why) = &column.origin {
            let name = &column.feature.name;
            let hint = "`--topic` with the names of the other features leaves it out";
            return Err(Error::new(ErrorKind::Unsupported, format!("`{name}` {why}, which is not read"))
                .at(Locus::feature(name))
                .with_hint(hint));
        }
    }
    let is_kept = |leaf: usize| kept.iter().any(|it| matches!(it.origin, Origin::Attached(it) if it == leaf));
    for (idx, leaf) in leaves.iter_mut().enumerate() {
        if leaf.may_be_attached() && !is_kept(idx) {
            leaf.unsupported = Some("is not selected".to_owned());
        }
    }
    let columns = kept.into_iter().filter(|it| !matches!(it.origin, Origin::Attached(_)));
    Ok((columns.collect(), left_out))
}

/// How the rows of the columns are built, and which leaf goes where.
pub(crate) fn layout(columns: &[Column], leaves: &[Leaf]) -> (Arc<Layout>, Vec<Target>) {
    let mut layout = Layout::default();
    let mut targets = Vec::new();
    for column in columns {
        let Origin::Leaf(leaf) = column.origin else { continue };
        let (mut levels, mut lists) = (Vec::new(), Vec::new());
        let (around, shape) = (&leaves[leaf].levels, &leaves[leaf].shape);
        for size in around.iter().chain(shape) {
            let level = match size {
                Some(n) => Level::Fixed(*n),
                None => Level::List(layout.list(&levels, false)),
            };
            lists.push(match level {
                Level::Fixed(_) => None,
                Level::List(list) => Some(list),
            });
            levels.push(level);
        }
        targets.push(Target { leaf, id: layout.leaf(column.feature.clone(), &levels), lists });
    }
    (Arc::new(layout), targets)
}
