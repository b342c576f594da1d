use std::sync::Arc;

use nodedata_core::{Error, ErrorKind, Layout, LeafId, Level, Locus, OpenOptions, Result, Storage};
use nodedata_steps::{check_names, check_undecoded, select, step_index};

use crate::features::Leaf;

/// Where the values of a column come from.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    /// The position of the row in its episode.
    StepIndex,
    /// A leaf, by its position.
    Leaf(usize),
    /// A feature that is not supported, and why.
    Unsupported(String),
}

/// A column of the step table.
pub(crate) type Column = nodedata_steps::Column<Origin>;

/// The columns that are read, and the names of features that were not selected. A feature that is not supported must be
/// one of the latter, also where it is of the whole episode.
///
/// # Errors
/// `Config` when options name a feature that is not there; `Unsupported`.
pub(crate) fn columns(leaves: &[Leaf], options: &OpenOptions) -> Result<(Vec<Column>, Vec<String>)> {
    let mut all = vec![Column { feature: step_index(), origin: Origin::StepIndex }];
    for (idx, leaf) in leaves.iter().enumerate() {
        let origin = match &leaf.unsupported {
            Some(why) => Origin::Unsupported(why.clone()),
            None if leaf.is_step => Origin::Leaf(idx),
            None => continue,
        };
        all.push(Column { feature: leaf.feature.clone(), origin });
    }
    check_names(&all, &[], options)?;
    check_undecoded(&[], options)?;
    let (kept, left_out) = select(all, options, |column| match column.origin {
        Origin::StepIndex => None,
        Origin::Leaf(_) | Origin::Unsupported(_) => Some(column.feature.name.clone()),
    });
    for column in &kept {
        if let Origin::Unsupported(why) = &column.origin {
            let name = &column.feature.name;
            let hint = "this build reads scalars and tensors of fixed shape without encoding, text, and images of uint8 or \
                        uint16; `--topic` with the names of the other features leaves it out";
            return Err(Error::new(ErrorKind::Unsupported, format!("`{name}` {why}, which is not read yet"))
                .at(Locus::feature(name))
                .with_hint(hint));
        }
    }
    Ok((kept, left_out))
}

/// How the rows of the columns are built, and which leaf goes where.
pub(crate) fn layout(columns: &[Column]) -> (Arc<Layout>, Vec<(usize, LeafId)>) {
    let mut layout = Layout::default();
    let mut places = Vec::new();
    for column in columns {
        let Origin::Leaf(leaf) = column.origin else { continue };
        let shape = match column.feature.storage {
            Storage::Plain => column.feature.shape.as_slice(),
            Storage::EncodedMedia | Storage::RawMedia => &[],
        };
        let levels: Vec<Level> = shape.iter().map(|it| Level::Fixed(it.as_i64() as u32)).collect();
        places.push((leaf, layout.leaf(column.feature.clone(), &levels)));
    }
    (Arc::new(layout), places)
}
